"""Small image models of every supported family, saved with weights, configuration and preparation."""

from __future__ import annotations

from pathlib import Path

import torch

TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
VIEW = {**TRANSFORMER, "image_size": 32, "patch_size": 8}
FAMILIES = ("resnet", "efficientnet", "vit", "clip")
DIMS = {"resnet": 24, "efficientnet": 128, "vit": 16, "clip": 12}


def processor(family: str):
    """Return an image processor of transformers that does not require torchvision."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
    from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    return {
        "resnet": lambda: ConvNextImageProcessorPil(size={"shortest_edge": 32}),
        "efficientnet": lambda: EfficientNetImageProcessorPil(size={"height": 40, "width": 36}),
        "vit": lambda: ViTImageProcessorPil(size={"height": 32, "width": 32}),
        "clip": lambda: CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    }[family]()


def network(family: str):
    import transformers as t

    small = {
        "in_channels": [8, 8],
        "out_channels": [8, 16],
        "kernel_sizes": [3, 3],
        "strides": [1, 2],
        "num_block_repeats": [1, 1],
    }
    flat = t.EfficientNetConfig(
        **small,
        expand_ratios=[1, 2],
        depthwise_padding=[],
        width_coefficient=0.1,
        depth_coefficient=0.1,
        hidden_dim=128,
    )
    text = {**TRANSFORMER, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    made = {
        "resnet": lambda: t.ResNetModel(
            t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 24], depths=[1, 1], layer_type="basic")
        ),
        "efficientnet": lambda: t.EfficientNetModel(flat),
        "vit": lambda: t.ViTModel(t.ViTConfig(**VIEW), add_pooling_layer=False),
        "clip": lambda: t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=VIEW, projection_dim=12)),
    }[family]()
    for module in made.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            # as after training: nothing is at its initial value
            torch.nn.init.ones_(module.weight)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return made.eval()


def saved(family: str, folder: Path) -> Path:
    """Return a saved model folder for `image-model`."""
    path = folder / family
    if not path.is_dir():
        network(family).save_pretrained(path)
        processor(family).save_pretrained(path)
    return path
