"""Bundles that somebody else may have made: each wrong one is refused in one line, before a scan is read."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.loading import read_config
from lungline.config.networks import CancerNetSpec
from lungline.runner.commands import exit_code_of
from lungline.stages import detect, rank_candidates
from lungline.storage.checksums import checksum_path, sha256
from lungline.storage.weights import write_model
from lungline.workflow.bundle import Bundle, check_networks, read_bundle, write_bundle
from lungline.workflow.bundle_check import checked_manifest
from lungline.workflow.steps import settings_on_the_way
from tests.untrained import untrained_bundle

BUILT_IN = read_config({})
Wrong = Callable[[Path], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    untrained_bundle(folder)
    for checksum in folder.rglob(".*.sha256"):  # whoever makes a bundle makes them, too, or leaves them out
        checksum.unlink()
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "bundle"))


def change(file: str, **keys: object) -> Wrong:
    """Set keys of a JSON file; `a__b` is key b of a; None leaves one out."""

    def done(folder: Path) -> None:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        for key, value in keys.items():
            *above, last = key.split("__")
            part = content
            for name in above:
                part = part[name]
            if value is None:
                del part[last]
            else:
                part[last] = value
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    return done


def write(file: str, content: bytes) -> Wrong:
    return lambda folder: (folder / file).write_bytes(content)


def weights(part: str, header: object, body: int = 0, length: int | None = None) -> Wrong:
    """Other weights under a card and a manifest that fit them."""

    def done(folder: Path) -> None:
        said = json.dumps(header).encode()
        path = folder / part / "weights.safetensors"
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(said) if length is None else length) + said)
            file.truncate(8 + len(said) + body)
        change(f"{part}/card.json", weights_sha256=sha256(path))(folder)
        change("bundle.json", **{f"weights_sha256__{part}/weights.safetensors": sha256(path)})(folder)

    return done


def tensor(shape: list[int], kind: str = "F32") -> dict:
    return {"dtype": kind, "shape": shape, "data_offsets": [0, 4 * int(torch.tensor(shape).prod())]}


def both(*wrongs: Wrong) -> Wrong:
    return lambda folder: [wrong(folder) for wrong in wrongs]


LONG = "x" * 100_000
TABLE: dict[str, tuple[Wrong, str]] = {
    "no JSON": (write("bundle.json", b"{"), "expected JSON"),
    "a list": (write("bundle.json", b"[1]"), "expected a JSON object"),
    "lists in lists": (write("bundle.json", b"[" * 200_000), "expected JSON"),
    "a number of 5000 digits": (write("bundle.json", b'{"a": ' + b"9" * 5000 + b"}"), "expected JSON"),
    "no UTF-8": (write("bundle.json", b'{"a": "\xff"}'), "expected JSON"),
    "20 MB": (lambda folder: os.truncate(folder / "bundle.json", 20 << 20), "expected at most"),
    "a pipe": (
        both(lambda folder: (folder / "bundle.json").unlink(), lambda f: os.mkfifo(f / "bundle.json")),
        "no such",
    ),
    "no slice": (change("bundle.json", settings__detect__slice_step=0), "slice_step"),
    "a formula": (change("bundle.json", classifier='=cmd|"x"!A1'), "classifier: expected letters"),
    "a long name": (change("bundle.json", classifier=LONG), "classifier: "),
    "a line end in a name": (change("bundle.json", classifier="m2\nok"), "classifier: expected letters"),
    "no settings": (change("bundle.json", settings=None), "settings: expected"),
    "another key": (change("bundle.json", modell="x"), "has no key 'modell'"),
    "a long key": (change("bundle.json", **{LONG: "x"}), "has no key"),
    "a step that is none": (change("bundle.json", settings__blur={}), "no step 'blur'"),
    "a step too few": (change("bundle.json", settings__crop_patches=None), "'crop_patches' is missing"),
    "a step too many": (change("bundle.json", settings__resize_volume={"size": 8}), "'resize_volume' is none of them"),
    "a setting too few": (change("bundle.json", settings__resample={}), "expected 'spacing_mm'"),
    "a setting too many": (change("bundle.json", settings__resample__out="/"), "has no key 'out'"),
    "voxels of a micrometre": (change("bundle.json", settings__resample__spacing_mm=1e-3), "expected 0.5 or more"),
    "voxels that are no number": (change("bundle.json", settings__resample__spacing_mm=float("nan")), "spacing_mm"),
    "a huge cube": (change("bundle.json", settings__crop_patches__size=1 << 20), "expected at most 64"),
    "a cube of another size": (change("bundle.json", settings__crop_patches__size=16), r"expected shape_zyx (16, 16"),
    "many candidates": (change("bundle.json", settings__crop_patches__count=10**9), "expected at most 1000"),
    "text for a number": (change("bundle.json", settings__detect__precision="int4"), "precision: expected"),
    "no detector": (lambda folder: change("bundle.json", detector="")(folder), "detector"),
    "weights of a device": (change("bundle.json", weights_sha256={"/dev/zero": "0"}), "are gone"),
    "a card of another kind": (
        lambda folder: shutil.copy(folder / "detector/z/card.json", folder / "classifier/card.json"),
        "card.json: classifier",
    ),
    "a card that is a pipe": (
        both(lambda f: (f / "detector/y/card.json").unlink(), lambda f: os.mkfifo(f / "detector/y/card.json")),
        "expected a file",
    ),
    "no card": (lambda folder: (folder / "detector/x/card.json").unlink(), "No such file"),
    "axes mixed up": (change("detector/x/card.json", axis="z"), "axis: expected 'x'"),
    "a huge network": (change("detector/z/card.json", network__levels=60), "levels: expected at most 8"),
    "channels without end": (change("classifier/card.json", network__channels=[10**9] * 6), "expected 1 to 1024"),
    "a logit that is text": (change("classifier/card.json", logit_without_candidates="=1+1"), "expected a number"),
    "a calibration of text": (change("classifier/card.json", calibration={"scale": "2"}), "calibration.scale"),
    "ranges of three": (change("classifier/card.json", acquisition={"noise_hu": [1, 2, 3]}), "acquisition.noise_hu"),
    "weights that are not the card's": (
        change("classifier/card.json", weights_sha256="0" * 64),
        "is not the card's",
    ),
    "one tensor": (weights("classifier", {"w": tensor([2])}, 8), "do not fit the network"),
    "a name like a formula": (weights("classifier", {"=1+1\x1b[2J": tensor([2])}, 8), "do not fit the network"),
    "a huge shape": (weights("detector/z", {"logit.bias": tensor([1 << 40])}, 8), "not readable as lungline weights"),
    "shapes that overlap": (
        weights("detector/z", {"a": tensor([2]), "b": tensor([2])}, 8),
        "not readable as lungline weights",
    ),
    "whole numbers": (weights("detector/z", {"logit.bias": tensor([1], "I32")}, 4), "numbers of type I32"),
    "a header without end": (weights("detector/z", {}, length=1 << 40), "a header of more than"),
    "a pickle": (weights("detector/z", {}, length=0x80), "not readable as lungline weights"),
    "weights of 9 GB": (
        lambda folder: os.truncate(folder / "detector/z/weights.safetensors", 9 << 30),  # a hole: takes no room
        "expected at most",
    ),
}


def load(folder: Path) -> None:
    check_networks(read_bundle(folder / "bundle.json"))


def test_a_sound_bundle_is_taken_without_checksums(folder: Path) -> None:
    load(folder)
    assert not checksum_path(folder / "bundle.json").exists()


def test_a_bundle_of_before_the_quick_search_is_taken_and_still_means_the_whole_search(folder: Path) -> None:
    settings = read_bundle(folder / "bundle.json").settings
    assert "slice_step" not in settings["detect"]
    load(folder)
    defaults = inspect.signature(detect.run).parameters
    assert (defaults["slice_step"].default, defaults["slice_box"].default) == (1, False)
    assert inspect.signature(rank_candidates.run).parameters["first_cut"].default is None


@pytest.mark.parametrize("classifier", BUILT_IN.classifiers)
def test_settings_of_every_built_in_classifier_are_taken(classifier: str) -> None:
    settings = json.loads(json.dumps(settings_on_the_way(BUILT_IN, classifier)))
    about = {"notice": "", "lungline_version": "", "classifier": classifier, "settings": settings}
    checked_manifest({**about, "model": "x", "detector": None, "weights_sha256": {}}, "bundle.json")


@pytest.mark.parametrize(
    ("given", "shape_zyx", "more"),
    [
        ({"pad_to": "largest"}, (8, 16, 9), {}),
        ({"resize_to": 16, "crop": 8}, (8, 8, 8), {"resize_volume": {"size": 16}}),
    ],
)
def test_a_model_of_whole_volumes_is_taken(tmp_path, folder, given, shape_zyx, more) -> None:
    network = {"channels": (1, 1, 1, 1, 1, 1), "dense": 2}
    spec = CancerNetSpec(shape_zyx=shape_zyx, in_channels=1, **network)
    schedule = {"steps": 1, "batch": 1}
    entry = {"kind": "whole_volume", "input": given, "network": network, "training": schedule}
    card = {"purpose": "", "classifier": entry, "network": spec.model_dump(mode="json")}
    write_model(tmp_path / "model", CancerNet(spec).state_dict(), [{"step": 1}], card)
    common = ("resample", "segment_lungs", "cache_volume")
    settings = {step: read_bundle(folder / "bundle.json").settings[step] for step in common}
    write_bundle(tmp_path / "bundle.json", Bundle("m1", {**settings, **more}, tmp_path / "model"))
    load(tmp_path)


@pytest.mark.parametrize(("wrong", "words"), TABLE.values(), ids=TABLE)
def test_a_wrong_bundle_is_refused_in_one_line(folder: Path, wrong: Wrong, words: str, capsys) -> None:
    wrong(folder)
    assert exit_code_of("predict", lambda: load(folder)) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.endswith("\n")
    assert said[:-1].isprintable()
    assert len(said) < 2100
