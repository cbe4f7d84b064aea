"""Configuration of the model: one validated structure, stored in the checkpoint.

What the paper (arXiv 2603.11971) fixes: frozen CLIP and wav2vec 2.0, a TCN over windows of fixed length,
cross-attention in both directions, a light head, a contrastive loss against CLIP text features. ViT-B/32, 60
frames and multi-head attention are reported second-hand. Everything else here is our choice.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from emorec_rt.bundle.manifest import Positive, Preprocessing, Share
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.constants import TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES
from emorec_rt.errors import UsageError

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
"""CLIP's own channel means (ImageNet's are a common mistake)."""

CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's own channel standard deviations."""

RESNET_POOL_RATIO: Final = 32
"""Width of a CLIP ResNet's last stage relative to its stem's."""

RESNET_STRIDE: Final = 32
"""Pixels from one position of its last stage to the next."""

AudioKind = Literal[
    "wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio", "whisper", "mel"
]

ON_WAVEFORM: Final[tuple[AudioKind, ...]] = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "unispeech",
    "unispeech-sat",
    "data2vec-audio",
)
"""Encoders that share wav2vec 2.0's convolutions over the waveform; the others begin with log-mel spectra."""

Mode = Literal["both", "visual", "audio", "concat", "visual_queries", "audio_queries", "zero_shot"]
"""Streams of the fusion and directions of its attention; all but ``both`` are ablations.

In ``concat`` each stream queries itself; in ``visual_queries`` and ``audio_queries`` the other one does.
``zero_shot`` learns nothing: the embeddings are logits already, see ``VisionConfig.prototypes``."""


class ConvConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plain convolutional tower: 3x3 convolutions, batch norm and ReLU, halved between stages (VGG).

    Attributes:
        channels: Width of each stage.
        depths: Convolutions in each stage.
        stem_stride: 2 halves the picture in the first convolution.
        dropout: Dropout before the projection, while the tower itself is trained.
    """

    channels: tuple[Positive, ...]
    depths: tuple[Positive, ...]
    stem_stride: Literal[1, 2] = 1
    dropout: Share = 0.2

    def __post_init__(self) -> None:
        if not self.channels or len(self.channels) != len(self.depths):
            raise UsageError("vision conv: channels and depths need one number for each stage")

    @property
    def stride(self) -> int:
        """Pixels from one position of the last stage to the next."""
        return int(self.stem_stride * 2 ** (len(self.channels) - 1))


class TimmConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A visual tower of timm, with its own pooling and without its classifier.

    Attributes:
        name: timm's name of the architecture.
        options: Further arguments of ``timm.create_model``.
    """

    name: str
    options: dict[str, Any] = {}


class VisionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CLIP's visual tower, one of open_clip's two kinds; the defaults are ViT-B/32.

    Attributes:
        pretrained: Weights that a new model starts from, see ``clip_files.find_clip``; empty for random
            weights. A checkpoint doesn't need them.
        revision: Commit of the repository that they come from; empty takes the newest.
        image_size: Side of the square crop in pixels.
        patch_size: Side of a patch in pixels (transformer only).
        width: Width of the transformer, or of the ResNet's stem.
        layers: Blocks of the ``VisionTransformer``; four numbers make a ``ModifiedResNet`` with that many
            blocks in each stage, which learns from scratch with far less data.
        heads: Attention heads (of a ResNet: of its pooling).
        mlp_ratio: Width of the MLP relative to ``width`` (transformer only).
        embed_dim: Width of the embedding, shared with the text tower.
        quick_gelu: Whether the activation is OpenAI's ``x * sigmoid(1.702 x)``.
        conv: A plain convolutional tower in place of open_clip's; only ``image_size`` and ``embed_dim`` above
            are read then.
        timm: A tower of timm in place of open_clip's; only ``image_size`` and ``embed_dim`` of the fields
            above are read then.
        prototypes: Number of class texts whose similarities take the place of the embedding (zero-shot); 0
            for the embedding itself.
        extra: Further fields of open_clip's ``CLIPVisionCfg``; a ``timm_model_name`` among them overrides the
            architecture above.
    """

    pretrained: str = ""
    revision: str = ""
    image_size: Positive = 224
    patch_size: Positive = 32
    width: Positive = 768
    # Not a tuple of four: msgspec corrupts memory on a bounded int beside a tuple of fixed length.
    layers: Positive | Annotated[tuple[Positive, ...], msgspec.Meta(min_length=4, max_length=4)] = 12
    heads: Positive = 12
    mlp_ratio: Annotated[float, msgspec.Meta(gt=0.0)] = 4.0
    embed_dim: Positive = 512
    quick_gelu: bool = True
    timm: TimmConfig | None = None
    conv: ConvConfig | None = None
    prototypes: Annotated[int, msgspec.Meta(ge=0)] = 0
    extra: dict[str, Any] = {}

    @property
    def output_width(self) -> int:
        """Width of what the encoder gives."""
        return self.prototypes or self.embed_dim

    def __post_init__(self) -> None:
        if self.timm is not None or "timm_model_name" in self.extra:
            return
        if self.conv is not None:
            _check_divides(self.conv.stride, self.image_size, "conv stride", "vision image_size")
        elif isinstance(self.layers, tuple):
            _check_divides(self.heads, self.width * RESNET_POOL_RATIO, "vision heads", "pooled width")
            _check_divides(RESNET_STRIDE, self.image_size, "ResNet stride", "vision image_size")
        else:
            _check_divides(self.heads, self.width, "vision heads", "width")
            _check_divides(self.patch_size, self.image_size, "vision patch_size", "image_size")


class TextConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """CLIP's text tower, an open_clip ``TextTransformer``.

    Attributes:
        pretrained: CLIP weights of its own, in the forms of ``VisionConfig.pretrained``, for visual towers
            without a text tower: the text-guided loss has a projection to any embedding. Empty takes those
            of the visual tower, whose embedding it shares.
        embed_dim: Width of the embedding; ``None`` for that of the visual tower.
        quick_gelu: Whether the activation is OpenAI's; ``None`` as in the visual tower.
        context_length: Tokens of a prompt, padded.
        vocab_size: Entries of the tokenizer (open_clip's byte-pair encoding).
        width: Width of the transformer.
        layers: Transformer blocks.
        heads: Attention heads.
        adjective_templates: Prompts around a label's adjective ("angry"), each with one ``{}``.
        noun_templates: Prompts around its noun ("anger").
        extra: Further fields of open_clip's ``CLIPTextCfg``.
    """

    pretrained: str = ""
    embed_dim: Positive | None = None
    quick_gelu: bool | None = None
    context_length: Positive = 77
    vocab_size: Positive = 49408
    width: Positive = 512
    layers: Positive = 12
    heads: Positive = 8
    adjective_templates: tuple[str, ...] = ("a photo of a person who looks {}",)
    noun_templates: tuple[str, ...] = ("a face showing {}", "a facial expression of {}")
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        _check_divides(self.heads, self.width, "text heads", "width")
        templates = (*self.adjective_templates, *self.noun_templates)
        if not templates:
            raise UsageError("text: adjective_templates and noun_templates are both empty; give one prompt")
        for template in templates:
            if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
                raise UsageError(f"text template {template!r}: put {{}} where the class goes, once")


class AudioConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sound encoder; the defaults are wav2vec 2.0's base (our choice).

    Attributes:
        kind: ``wav2vec2``, ``hubert`` and ``wavlm`` share the convolutions over the waveform and differ past
            them; ``whisper`` is Whisper's encoder; ``mel`` is this project's small one, see ``mel_encoder``.
        pretrained: Hugging Face id or local folder whose weights a new model starts from; empty for
            random weights.
        revision: Commit of the repository that they come from; empty takes the newest.
        width: Width of the transformer.
        layers: Transformer blocks.
        heads: Attention heads.
        intermediate: Width of the feed-forward part.
        conv_channels: Channels of each convolution over the waveform.
        conv_kernels: Their kernels in samples, strides likewise; together one token each 320 samples.
        conv_strides: Their strides.
        conv_bias: Whether they have a bias.
        conv_norm: ``group`` (base models: first convolution only) or ``layer`` (large models: each).
        stable_layer_norm: Norm before each block (large models) instead of after.
        position_kernel: Kernel of the convolution that stands for positions, in tokens; of ``mel``, that of
            its depthwise convolutions.
        position_groups: Its groups.
        mel_bands: Bands of the spectra that ``whisper`` and ``mel`` begin with.
        token_width: Width of the tokens of ``mel``; ``None`` for ``width``.
        dropout: Dropout while the encoder itself is trained.
        extra: Further fields of the model's configuration in transformers.
    """

    kind: AudioKind = "wav2vec2"
    pretrained: str = ""
    revision: str = ""
    width: Positive = 768
    layers: Positive = 12
    heads: Positive = 12
    intermediate: Positive = 3072
    conv_channels: tuple[Positive, ...] = (512,) * 7
    conv_kernels: tuple[Positive, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_strides: tuple[Positive, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_bias: bool = False
    conv_norm: Literal["group", "layer"] = "group"
    stable_layer_norm: bool = False
    position_kernel: Positive = 128
    position_groups: Positive = 16
    mel_bands: Positive = 80
    token_width: Positive | None = None
    dropout: Share = 0.1
    extra: dict[str, Any] = {}

    @property
    def output_width(self) -> int:
        """Width of what the encoder gives."""
        return self.token_width or self.width

    def __post_init__(self) -> None:
        if self.token_width is not None and self.kind != "mel":
            raise UsageError(f"audio token_width goes with mel, and the kind is {self.kind}")
        if self.kind == "mel":
            if self.position_kernel % 2 == 0:
                raise UsageError(f"audio position_kernel is {self.position_kernel}; it must be odd here")
            return
        _check_divides(self.heads, self.width, "audio heads", "width")
        if self.kind not in ON_WAVEFORM:
            return
        _check_divides(self.position_groups, self.width, "audio position_groups", "width")
        if not len(self.conv_channels) == len(self.conv_kernels) == len(self.conv_strides):
            raise UsageError("audio convolutions: as many kernels and strides as channels are needed")
        hop, receptive = 1, 1
        for kernel, stride in zip(self.conv_kernels, self.conv_strides, strict=True):
            receptive += (kernel - 1) * hop
            hop *= stride
        if (hop, receptive) != (TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES):
            raise UsageError(
                f"audio convolutions: one token each {hop} samples from {receptive}, "
                f"expected {TOKEN_HOP_SAMPLES} from {TOKEN_RECEPTIVE_SAMPLES}"
            )


class FusionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The trained part: TCN, cross-attention, head. The paper fixes the parts; all numbers are our choice.

    Attributes:
        mode: Streams and directions.
        width: Width ``D`` of both streams past their projections.
        tcn_layers: Residual blocks; block ``i`` has dilation ``2 ** i``.
        tcn_kernel: Kernel of each of its convolutions in steps, odd.
        causal: Whether TCN and attention look back only within a window (for live use), or both ways.
        heads: Attention heads.
        ffn_ratio: Width of the feed-forward part relative to ``width``.
        head_width: Width of the head's hidden layer.
        dropout: Dropout in TCN and attention.
        head_dropout: Dropout in the head.
    """

    mode: Mode = "both"
    width: Positive = 256
    tcn_layers: Positive = 4
    tcn_kernel: Positive = 3
    causal: bool = False
    heads: Positive = 4
    ffn_ratio: Positive = 4
    head_width: Positive = 128
    dropout: Share = 0.1
    head_dropout: Share = 0.2

    def __post_init__(self) -> None:
        _check_divides(self.heads, self.width, "fusion heads", "width")
        _check_divides(2, self.width, "sine and cosine", "fusion width")
        if self.tcn_kernel % 2 == 0:
            raise UsageError(
                f"fusion tcn_kernel is {self.tcn_kernel}; a centred convolution needs an odd one"
            )


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole model.

    Attributes:
        labels: Class names in the order of the logits.
        tasks: What the fusion tells beside the classes.
        preprocessing: From media to windows; its widths and sizes are the encoders'.
        vision: The visual tower.
        text: The text tower, used while training only; ``None`` without text guidance.
        audio: The audio encoder.
        fusion: What is trained.
    """

    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=2)]
    tasks: Tasks = NO_TASKS
    preprocessing: Preprocessing
    vision: VisionConfig
    text: TextConfig | None = None
    audio: AudioConfig
    fusion: FusionConfig

    def __post_init__(self) -> None:
        spec = self.preprocessing
        _check_equal(spec.vision.crop_size, self.vision.image_size, "crop_size", "vision image_size")
        _check_equal(
            spec.vision.embedding_dim, self.vision.output_width, "vision embedding_dim", "vision embed_dim"
        )
        _check_equal(spec.audio.embedding_dim, self.audio.output_width, "audio embedding_dim", "audio width")
        if self.tasks and self.fusion.mode == "zero_shot":
            raise UsageError("fusion mode zero_shot knows classes alone; it has no tasks")
        zero_shot = len(self.labels) if self.fusion.mode == "zero_shot" else 0
        if self.vision.prototypes != zero_shot:
            raise UsageError(
                f"vision prototypes is {self.vision.prototypes}, but fusion mode {self.fusion.mode} needs"
                f" {zero_shot}; train/zero_shot.py makes such models"
            )


def _check_divides(divisor: int, number: int, divisor_name: str, name: str) -> None:
    if number % divisor:
        raise UsageError(f"{divisor_name} ({divisor}) must divide {name} ({number})")


def _check_equal(left: int, right: int, left_name: str, right_name: str) -> None:
    if left != right:
        raise UsageError(f"preprocessing {left_name} is {left}, but {right_name} is {right}; they must agree")
