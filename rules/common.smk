# Shared by all steps: the checked configuration, the list of scans, where files lie. Holds no step.
import hashlib
import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from lungline.config import check_config, known
from lungline.errors import LunglineError
from lungline.io.listing import list_dsb17, list_folder, list_luna16, read_labels
from lungline.io.private import pseudonym_key, read_map, remember
from lungline.io.sheet import ScanRow, read_sheet, write_sheet
from lungline.nodules.annotations import read_annotations
from lungline.provenance import code_fingerprint
from lungline.splits import split_of_luna_fold

AXES = ("z", "y", "x")

check_config(config, yaml.safe_load(Path(workflow.basedir, "config/schema.yaml").read_text()))
DETECTORS = list(dict.fromkeys(config["systems"][system]["detector"] for system in config["run"]))


NAME = r"[A-Za-z0-9_-]+"


wildcard_constraints:
    scan=r"[A-Za-z0-9._-]+",
    fold=r"[0-9]",
    detector=rf"{NAME}(@([0-9]|folds))?",
    system=NAME,
    axis=r"[zyx]",


def out(path):
    """A file of the result tree."""
    return f"{config['outdir']}/{path}"


def out_of(pattern, scans):
    """The same file of many scans."""
    return [out(pattern.format(scan=scan)) for scan in scans]


def scratch(path):
    """A large file that can be made again: kept only if the configuration says so."""
    return out(path) if config["keep_intermediates"] else temp(out(path))


def options(**given):
    """Words of a command line for those options that have a value."""
    words = []
    for name, value in given.items():
        values = [value] if isinstance(value, (str, bool)) else list(value)
        if values:
            words += [
                f"--{name.replace('_', '-')}",
                *(str(v).lower() if v in (True, False) else str(v) for v in values),
            ]
    return shlex.join(words)


def fingerprint(stage):
    """Hash of the code behind a stage: as a parameter of a step, it re-runs exactly what an edit touches."""
    return code_fingerprint(f"lungline.stages.{stage}")


def gpu():
    """1 where a job will use the GPU; on a machine without one, jobs must not wait for each other."""
    wanted = config["device"] == "cuda" or (config["device"] == "auto" and shutil.which("nvidia-smi"))
    return 1 if wanted else 0


# ---- the list of scans: known before the first job, so the graph has no checkpoints ------------------------

EMBEDDED = config["sheet"] is None and config["data"] is None
PLANS = {}


def make_sheet(data):
    """Write scans.csv and private/ for the folders in `data:`; what says the same already is not touched."""
    for key, place in data.items():
        if place and not Path(place).exists():
            raise LunglineError(f"data.{key}: '{place}' does not exist (paths start at {os.getcwd()}).")
    private, found = Path(config["outdir"], "private"), []
    if data.get("luna16"):
        found += list_luna16(Path(data["luna16"]).absolute())
    if data.get("dsb17"):
        found += list_dsb17(Path(data["dsb17"]).absolute())
    if data.get("folder"):
        labels = read_labels(Path(data["labels"])) if data.get("labels") else {}
        found += list_folder(Path(data["folder"]).absolute(), pseudonym_key(private), labels)
    now = {item.row.scan for item in found}
    remember(private, found, forget=read_map(private).keys() - now)
    write_sheet(Path(SHEET), [item.row for item in found])


SHEET = config["sheet"] or out("scans.csv")
if EMBEDDED:
    from lungline.phantom.cohort import plan_cohort

    PLANS = {plan.scan: plan for plan in plan_cohort(config["seed"], config["cohort"])}
    ROWS = [ScanRow(p.scan, p.source, p.dataset, p.split, p.fold, p.label) for p in PLANS.values()]
else:
    if config["sheet"] is None and workflow.is_main_process:  # jobs on other machines only read it
        make_sheet(config["data"])
    ROWS = read_sheet(Path(SHEET))

SCANS = {row.scan: row for row in ROWS}


def raw(wildcards):
    """The scan as the scanner left it: a file or a folder."""
    if EMBEDDED:
        return out(f"cohort/{PLANS[wildcards.scan].path}")
    return str(Path(SHEET).parent / "private" / "raw" / wildcards.scan)


def scans_where(rows=SCANS, **wanted):
    """Scans whose row has one of the wanted values in every named column."""
    return [scan for scan, row in rows.items() if all(getattr(row, key) in wanted[key] for key in wanted)]


def rows_digest(scans, *columns, rows=SCANS):
    """Changes when these columns of these scans change, and not when the rest of the sheet does."""
    cells = [[getattr(rows[scan], column) for column in columns] for scan in sorted(scans)]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def plausible_ml():
    """Volume of both lungs that raises no warning; the embedded chests are smaller than an adult's."""
    scale = config["cohort"]["anatomy_scale"] ** 3 if EMBEDDED else 1
    return [round(volume * scale, 1) for volume in config["segment_lungs"]["plausible_ml"]]


# ---- who takes part in what --------------------------------------------------------------------------------


def annotations():
    """The table of annotated nodules, or None."""
    if config["annotations"]:
        return config["annotations"]
    if EMBEDDED:
        return out("cohort/luna16/annotations.csv")
    luna16 = (config["data"] or {}).get("luna16")
    return f"{luna16}/annotations.csv" if luna16 else None


def scans_to_score():
    """Patients: every scan that is not for detection only."""
    return scans_where(dataset=("dsb17", "folder"))


def scans_to_train_on(kind, rows=SCANS):
    """Scans that a training reads: those with nodules for a detector, those with a label for a system."""
    if kind == "detector":
        return scans_where(rows, dataset=("luna16",), split=("train", "valid")) if annotations() else []
    return scans_where(dataset=("dsb17", "folder"), split=("train", "valid"), label=(0, 1))


def scans_to_test_detection(rows=SCANS):
    return scans_where(rows, dataset=("luna16",), split=("test",)) if annotations() else []


def scans_with_every_nodule():
    """Test scans on which recall means something; of the embedded cohort the patients' nodules are known, too."""
    patients = scans_where(dataset=("dsb17",), split=("test",)) if EMBEDDED else []
    return scans_to_test_detection() + patients


def every_nodule():
    return out("cohort/nodules.csv") if EMBEDDED else annotations() or []


def scans_to_detect():
    return scans_to_test_detection() + scans_to_score()


def detection_jobs(jobs):
    """Name of a step -> its detectors, and the scans that one job of it takes.

    Those are any one scan, or those of one hash in `jobs` groups: a new scan joins one group and leaves the others
    alone. The scans of a fold are one more group.
    """
    if jobs is None:
        return {"detect": (rf"{NAME}(@[0-9])?", ["{scan}"])}
    groups = {}
    for scan in scans_to_detect():
        groups.setdefault(int(hashlib.sha256(scan.encode()).hexdigest(), 16) % jobs, []).append(scan)
    named = {f"detect_{number}": (NAME, scans) for number, scans in sorted(groups.items())}
    return named | {
        f"detect_fold_{fold}": (f"{NAME}@{fold}", scans_to_test_detection(rows_of(f"@{fold}"))) for fold in folds()
    }


# ---- cross-validation: the detector NAME@FOLD is the entry NAME, trained without one subset of LUNA-16 -----


def folds():
    """The subsets that are held out one after the other: those of the configuration that have scans."""
    return [fold for fold in config["folds"] if scans_where(dataset=("luna16",), fold=(fold,))]


def members(detector):
    """The detectors of whose test scans a submission is made: itself, or those of all folds for NAME@folds."""
    name, _, which = detector.partition("@")
    return [f"{name}@{fold}" for fold in folds()] if which == "folds" else [detector]


def entry_of(detector):
    """The settings of a detector."""
    return config["detectors"][detector.partition("@")[0]]


def sheet_of(detector):
    """The list of scans that says what a detector may be trained on."""
    fold = detector.partition("@")[2]
    return out(f"split_fold/{fold}.csv") if fold else SHEET


def rows_of(detector):
    """The rows of `sheet_of`."""
    fold = detector.partition("@")[2]
    if not fold:
        return SCANS
    held_out = {scan: SCANS[scan] for scan in scans_where(dataset=("luna16",))}
    return {scan: replace(row, split=split_of_luna_fold(row.fold, int(fold))) for scan, row in held_out.items()}


NODULES = {}
if EMBEDDED:
    for plan in PLANS.values():
        NODULES[plan.scan] = [(*plan.world_xyz_mm(nodule), nodule.diameter_mm) for nodule in plan.nodules]
elif annotations():
    for nodule in read_annotations(Path(annotations())):
        NODULES.setdefault(nodule.scan, []).append((*nodule.centre_xyz_mm, nodule.diameter_mm))


def nodules_digest(scans):
    """Changes when the annotated nodules of these scans change, and not when others do."""
    nodules = [NODULES.get(scan, []) for scan in scans]
    return hashlib.sha256(json.dumps(nodules).encode()).hexdigest()[:16]


# ---- models: trained here, or given ------------------------------------------------------------------------


def model_folder(kind, name):
    """Folder of a trained detector or system."""
    given = (config["models"].get(f"{kind}s") or {}).get(name)
    if given is None and len(scans_to_train_on(kind)) == 0:
        lacks = "annotated LUNA-16 scan" if kind == "detector" else "labelled patient"
        raise LunglineError(
            f"{kind} '{name}' cannot be trained: no {lacks} for training. Name its folder under models.{kind}s."
        )
    return given or out(f"train_{'unet' if kind == 'detector' else kind}/{name}")


def training_scans(detector):
    return scans_to_train_on("detector", rows_of(detector))


def network(detector, axis):
    return f"{model_folder('detector', detector)}/{axis}/weights.safetensors"


def candidates_of(detector, scans):
    return [out(f"extract_candidates/{detector}/{scan}.csv") for scan in scans]


def patches_of(system, scans):
    """The candidate cubes that a system reads."""
    detector = config["systems"][system]["detector"]
    return [out(f"crop_patches/{detector}/{scan}.h5") for scan in scans]


# ---- what can be measured and shown ------------------------------------------------------------------------


def excluded_findings():
    """Findings that count neither way: `annotations_excluded.csv` beside the annotations of LUNA-16."""
    path = Path(annotations() or "").with_name("annotations_excluded.csv") if not EMBEDDED and annotations() else None
    return str(path) if path and path.is_file() else []


def labelled_tests():
    return scans_where(dataset=("dsb17", "folder"), split=("test",), label=(0, 1))


def evaluations():
    """What can be measured: recall of nodules needs annotated test scans, the answers need labels."""
    made = [out(f"evaluate/detection-{detector}.json") for detector in DETECTORS if scans_to_test_detection()]
    return made + [out(f"evaluate/cancer-{system}.json") for system in config["run"] if labelled_tests()]


def detection_of(system):
    """The result of the detector of a system, where there is one."""
    return out(f"evaluate/detection-{config['systems'][system]['detector']}.json") if scans_to_test_detection() else []


def learning_curves_of(system):
    """Curves of what is trained here for a system."""
    detector = config["systems"][system]["detector"]
    folders = [f"{model_folder('detector', detector)}/{axis}" for axis in AXES]
    folders.append(model_folder("system", system))
    return [f"{folder}/learning_curve.csv" for folder in folders if folder.startswith(out("train_"))]


def compared():
    """System -> the files that say how good it is and what it cost."""
    return {
        system: {
            "kind": config["systems"][system]["kind"],
            "seed": None if system in config["models"].get("systems", {}) else config["seed"],
            "predictions": out(f"collect_predictions/{system}.csv"),
            "detection": detection_of(system) or None,
            "benchmarks": [
                out(f"benchmarks/{Path(curve).parent.relative_to(config['outdir'])}.tsv")
                for curve in learning_curves_of(system)
            ],
        }
        for system in config["compare"]["systems"] or config["run"]
    }


def curves():
    return [out(f"curves/{system}") for system in config["run"] if labelled_tests() or detection_of(system)]


def nodule_mask_of(scan):
    return out(f"draw_nodule_mask/{scan}.h5") if SCANS[scan].dataset == "luna16" and annotations() else []


def figure_scans():
    """Scans of Figures 1-5: the named ones, or the first test scan with nodules and the first test patient."""
    chosen = config["figures"]["scans"]
    if chosen == "auto":
        tests = [scan for scan in scans_to_score() if SCANS[scan].split == "test"]
        return scans_to_test_detection()[:1] + tests[:1]
    for scan in chosen:
        known(scan, scans_to_detect(), "figures.scans: no scan that is searched for nodules is called")
    return chosen


def figures():
    return [out(f"figures/{scan}") for scan in figure_scans()]
