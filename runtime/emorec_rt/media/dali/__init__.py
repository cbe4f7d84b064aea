r"""NVIDIA DALI: decoding, and cutting and scaling faces, on a GPU where there is one; an extra.

    reader (GPU, or CPU for VP8, VP9, MJPEG)  \
                                               pictures -> tracker (a small copy, CPU) -> squares -> crops
    PyAV -> external_source (everything else) /

One set of pipelines serves both: only the device differs. On a GPU the crops stay there, and engines that
take ``DeviceArray`` get them without a detour through the host. Colours are normalised by the first node of
the vision graph, on the engine's device.

On a CPU this gains nothing over PyAV; it runs there so that it can be tested. It has not run on a GPU.
"""
