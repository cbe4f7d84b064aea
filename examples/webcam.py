"""Watch a camera with OpenCV: own frames in, rows out, box and label drawn.

    pip install '.[cpu]' && python examples/webcam.py            # camera 0; q ends it
    python examples/webcam.py talk.mp4 --headless                # a file in its place, without a window

The window needs opencv-python; the runtime itself installs the headless build, which has none.
"""

from __future__ import annotations

import argparse
import time

import cv2

import emorec_rt


def main() -> None:
    """Push each frame, take the rows that are final, and draw the newest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="0")
    parser.add_argument("--headless", action="store_true")
    options = parser.parse_args()
    live = options.source.isdecimal()
    camera = cv2.VideoCapture(int(options.source) if live else options.source)
    row, begun = None, time.monotonic()
    with emorec_rt.load().open(sound=False) as session:
        while True:
            found, bgr = camera.read()
            if not found:
                break
            passed = time.monotonic() - begun
            session.push_frame(bgr[..., ::-1], passed if live else camera.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            for row in session.rows():
                tell(row)
            if not options.headless and show(bgr, row):
                break
        for row in session.close():
            tell(row)
    camera.release()


def tell(row: emorec_rt.Prediction) -> None:
    """Print a row."""
    print(f"{row.time_seconds:7.2f} s  {row.label}  {row.scores[row.label]:.2f}")


def show(bgr: cv2.typing.MatLike, row: emorec_rt.Prediction | None) -> bool:
    """Show a frame with the newest row; say whether q was pressed."""
    if row is not None and row.box is not None:
        left, top = round(row.box.left), round(row.box.top)
        corner = (round(row.box.left + row.box.width), round(row.box.top + row.box.height))
        cv2.rectangle(bgr, (left, top), corner, (0, 200, 255), 2)
        cv2.putText(bgr, row.label, (left, top - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 200, 255), 2)
    cv2.imshow("emorec", bgr)
    return cv2.waitKey(1) == ord("q")


if __name__ == "__main__":
    main()
