"""Heads on embeddings against torch's own forward pass, and files that are no head."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from filters.clip import Clip
from filters.heads import EmbeddingHead
from filters.registry import check_files, check_needs, make_scorers
from filters.scorer import Batch, Need
from schemas.refusal import Refusal

ROWS = np.random.default_rng(3).normal(size=(7, 64)).astype(np.float32)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)


class Layers(nn.Module):
    """Layers under the name that LAION's files give them."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)


def saved(path: Path, network: nn.Module) -> str:
    torch.save(network.state_dict(), path)
    return str(path)


def scored(head: EmbeddingHead, rows: np.ndarray = ROWS) -> pa.Table:
    batch = Batch(pa.table({"uid": [str(row) for row in range(len(rows))]}), (), {Need("clip", "image"): rows})
    return head.score(batch, head.load()).columns


def widths(*numbers: int, between: Any = None) -> list[nn.Module]:
    """Linear layers of these widths with a dropout, and what is given, behind each but the last two."""
    torch.manual_seed(5)
    layers: list[nn.Module] = []
    for place, (takes, gives) in enumerate(pairwise(numbers)):
        layers.append(nn.Linear(takes, gives))
        if place < len(numbers) - 3:
            layers += [*([between()] if between else []), nn.Dropout(0.2)]
    return layers


def test_the_aesthetic_head_of_linear_layers_is_torchs(tmp_path: Path) -> None:
    layers = widths(64, 32, 16, 8, 1)
    assert [name for name in Layers(layers).state_dict() if "weight" in name] == [
        *("layers.0.weight", "layers.2.weight", "layers.4.weight", "layers.5.weight"),
    ]
    head = EmbeddingHead(file=saved(tmp_path / "aesthetic.pth", Layers(layers)), alias="aesthetic")
    expected = nn.Sequential(*layers).eval()(torch.from_numpy(ROWS)).detach().numpy()[:, 0]
    found = scored(head)
    assert found.schema == pa.schema([("aesthetic_score", pa.float32())])
    np.testing.assert_allclose(found["aesthetic_score"].to_numpy(), expected, rtol=0, atol=1e-5)


def test_the_nsfw_head_has_no_activation_where_layers_follow_each_other(tmp_path: Path) -> None:
    layers = widths(64, 32, 32, 16, 8, 1, between=nn.ReLU)
    path = saved(tmp_path / "nsfw.pt", Layers(layers))
    expected = torch.sigmoid(nn.Sequential(*layers).eval()(torch.from_numpy(ROWS))).detach().numpy()[:, 0]
    found = scored(EmbeddingHead(file=path, activation="relu", output="sigmoid", alias="nsfw"))
    np.testing.assert_allclose(found["nsfw_score"].to_numpy(), expected, rtol=0, atol=1e-5)
    plain = scored(EmbeddingHead(file=path, output="sigmoid", alias="nsfw"))
    assert np.abs(plain["nsfw_score"].to_numpy() - expected).max() > 1e-3


def test_a_linear_head_standardising_first_and_several_classes(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    source = np.random.default_rng(1)
    tensors = {
        "linear.weight": source.normal(size=(3, 64)).astype(np.float32),
        "linear.bias": source.normal(size=3).astype(np.float32),
        "norm.mean": source.normal(size=64).astype(np.float32),
        "norm.variance": source.uniform(0.5, 2, size=64).astype(np.float32),
    }
    save_file(tensors, tmp_path / "kinds.safetensors")
    names = ("photo", "drawing", "screen")
    found = scored(EmbeddingHead(file=str(tmp_path / "kinds.safetensors"), output="softmax", names=names, alias="kind"))
    standard = (ROWS - tensors["norm.mean"]) / np.sqrt(tensors["norm.variance"])
    values = np.exp(standard @ tensors["linear.weight"].T + tensors["linear.bias"])
    expected = values / values.sum(axis=1, keepdims=True)
    assert found.column_names == ["kind_photo", "kind_drawing", "kind_screen"]
    np.testing.assert_allclose(np.stack([each.to_numpy() for each in found.columns], 1), expected, rtol=0, atol=1e-5)


def test_batch_norms_and_gelu(tmp_path: Path) -> None:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.GELU(), nn.Linear(8, 1))
    network(torch.randn(50, 64))
    path = saved(tmp_path / "normed.bin", network)
    expected = network.eval()(torch.from_numpy(ROWS)).detach().numpy()[:, 0]
    found = scored(EmbeddingHead(file=path, activation="gelu"))
    np.testing.assert_allclose(found["head_score"].to_numpy(), expected, rtol=0, atol=1e-5)


def test_another_file_at_the_same_path_is_another_configuration(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, weight=np.ones((1, 64), np.float32))
    before = EmbeddingHead(file=str(path)).configuration()
    assert before["options"]["file"].startswith("sha256:")
    assert str(tmp_path) not in str(before)
    np.savez(path, weight=np.zeros((1, 64), np.float32))
    assert EmbeddingHead(file=str(path)).configuration() != before


def launch(path: Path, **options: Any) -> None:
    scorers = make_scorers([{"clip": {"model": "tiny"}}, {"head": {"file": str(path), "as": "taste", **options}}])
    check_needs(scorers)
    check_files(scorers)


def test_what_fits_is_not_refused(tmp_path: Path) -> None:
    length = Clip().known_dimension
    assert length is not None
    np.savez(tmp_path / "fits.npz", weight=np.ones((1, length), np.float32))
    launch(tmp_path / "fits.npz")


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ({"weight": (1, 999)}, {}, "takes embeddings of length 999; those given have [0-9]+"),
        ({"0.weight": (8, 128), "2.weight": (1, 9)}, {}, "2 takes 9 numbers and is given 8"),
        ({"weight": (2, 128)}, {}, "gives 2 numbers, and `names` has 1"),
        ({"conv.weight": (1, 3, 3, 3)}, {}, r"holds conv with \['weight'\], which is no layer known"),
        ({"weight": (1, 128)}, {"activation": "swish"}, "unknown activation 'swish'; known: gelu, none, relu, tanh"),
        ({"weight": (1, 128)}, {"names": ["a b"]}, "`names` must be different, of letters, digits and _"),
        (
            {"weight": (1, 128)},
            {"embedding": "clap"},
            "'taste' reads the embeddings of 'clap', and no scorer before it",
        ),
        ({"weight": (1, 128)}, {"side": "sound"}, "unknown side 'sound'; known: image, text"),
    ],
)
def test_what_does_not_fit_is_refused_at_launch(
    tmp_path: Path, weights: dict[str, tuple[int, ...]], options: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "head.npz", **{name: np.ones(shape, np.float32) for name, shape in weights.items()})
    with pytest.raises(Refusal, match=message):
        launch(tmp_path / "head.npz", **options)


class Payload:
    """Runs on unpickling."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("harmed").touch, ())


def test_nothing_in_a_file_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pth").write_bytes(pickle.dumps(Payload(), protocol=2))
    torch.save({"weight": Payload()}, tmp_path / "worse.pth")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    for name in ("bad.pth", "worse.pth", "torn.safetensors"):
        with pytest.raises(Refusal, match=f"{name}' cannot be read as weights"):
            launch(tmp_path / name)
    assert not (tmp_path / "harmed").exists()
    with pytest.raises(Refusal, match="there is no file"):
        launch(tmp_path / "absent.pth")
    (tmp_path / "head.keras").write_bytes(b"")
    with pytest.raises(Refusal, match="expected a file of weights"):
        launch(tmp_path / "head.keras")
