from pathlib import Path

import pytest

from beam_jobs.world.scenes import split_of
from beam_jobs.world.train_tiny_clip import PIXELS, main


def _train(folder: Path, *more: str) -> bytes:
    main(["--out", str(folder), "--steps", "2", "--pairs", "64", "--threads", "1", *more])
    return (folder / "open_clip_model.safetensors").read_bytes()


def test_a_training_can_be_repeated_and_gone_on_from(tmp_path: Path) -> None:
    import open_clip

    first = _train(tmp_path / "first")
    assert _train(tmp_path / "again") == first
    assert _train(tmp_path / "further", "--seed", "1", "--start", str(tmp_path / "first")) != first
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'further'}")
    assert model.visual.image_size == (PIXELS, PIXELS)
    assert len(preprocess.transforms) >= 3
    table = model.token_embedding.weight
    assert table.shape == (49408, 64)
    assert int((table == table.median(dim=0).values).all(dim=1).sum()) > 48_000


def test_lessons_are_of_the_split_for_training_and_come_in_pairs() -> None:
    from beam_jobs.world.lessons import make_lessons

    lessons = make_lessons(pairs=30, seed=3, pixels=32)
    assert lessons.pictures.shape == (60, 32, 32, 3)
    assert {split_of(one) for one in lessons.scenes} == {"train"}
    for first, second in zip(lessons.scenes[::2], lessons.scenes[1::2], strict=True):
        assert first.variant == second.variant
        assert first.groups != second.groups


def test_an_unknown_option_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path), "--epochs", "3"])
