# Shared by all steps: the checked configuration, the list of scans, where files lie. Holds no step.
import functools
import hashlib
import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import yaml

from lungline.config.check import check_config
from lungline.errors import LunglineError
from lungline.readers.labels import read_labels
from lungline.readers.listing import list_dsb17, list_folder, list_luna16
from lungline.storage.notes import say, write_notes
from lungline.privacy.pseudonyms import pseudonym_key, read_map, remember
from lungline.readers.raw_state import RawState, raw_state, share_of_memory
from lungline.runner.locks import hold, trouble_with
from lungline.storage.manifest import ScanRow, read_sheet, write_sheet
from lungline.names import known
from lungline.nodules.annotations import note_annotations, read_annotations
from lungline.fingerprint import code_fingerprint
from lungline.splits import split_of_luna_fold

AXES = ("z", "y", "x")

config.update(check_config(config, yaml.safe_load(Path(workflow.basedir, "config/schema.yaml").read_text())))
ENTRIES = [config["systems"][system] for system in config["run"]]
DETECTORS = list(dict.fromkeys(entry["detector"] for entry in ENTRIES if entry["kind"] == "patches"))
DRAWN = next(iter(DETECTORS or config["detectors"]))  # the detector of Figures 4 and 5


NAME = r"[A-Za-z0-9_-]+"


wildcard_constraints:
    scan=r"[A-Za-z0-9._-]+",
    fold=r"[0-9]",
    detector=rf"{NAME}(@([0-9]|folds))?",
    system=NAME,
    axis=r"[zyx]",
    size=r"[0-9]+",


RUNNING = []


onstart:
    RUNNING.append(hold(Path(config["outdir"])))  # two runs that start together both pass Snakemake's own lock
    # With a limit of jobs a time, Snakemake sets a new timer at every look at the queue and never takes one away: after
    # a thousand jobs it looks 200 times a second as long as a job waits. Jobs of this machine need no limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


onerror:
    print(trouble_with(Path(config["outdir"])) or "Mend the cause above, then run the same command again: it goes on.")


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
        values = list(value) if isinstance(value, (list, tuple)) else [value]
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


def launcher(processes):
    """What starts a training: `lungline`, or as many processes of it as train together."""
    if processes == 1:
        return "lungline"
    return f"torchrun --standalone --nproc-per-node {processes} -m lungline.cli"


AROUND_A_JOB_MB = 400  # what a cluster counts beside the command: two processes of Snakemake, 280 MB were measured


def memory(mb):
    """Memory of a job, in MB: what its command needs and what stands around it; more at every retry."""

    def needed(wildcards, attempt):
        return attempt * (AROUND_A_JOB_MB + (mb(wildcards) if callable(mb) else mb))

    return needed


def scan_memory(mb, scans=("{scan}",)):
    """`memory` of a step on one scan, or on the largest of several: `mb` for the largest that ingest accepts."""

    def needed(wildcards):
        names = [scan.format(scan=wildcards.get("scan")) for scan in scans]
        return round(mb * share_of_memory(raw_of(scan).voxels for scan in names))

    return memory(needed)


# ---- the list of scans: known before the first job, so the graph has no checkpoints ------------------------

EMBEDDED = config["sheet"] is None and config["data"] is None and config["inserted"] is None
INSERTED = config["sheet"] is None and config["data"] is None and not EMBEDDED
PLANS = {}


def list_data(data):
    """The scans in the folders of `data:`."""
    for key, place in data.items():
        if place and not Path(place).exists():
            raise LunglineError(f"data.{key}: '{place}' does not exist (paths start at {os.getcwd()}).")
    if data.get("luna16"):
        yield list_luna16(Path(data["luna16"]).absolute())
    if data.get("dsb17"):
        yield list_dsb17(Path(data["dsb17"]).absolute())
    if data.get("folder"):
        labels = read_labels(Path(data["labels"])) if data.get("labels") else None
        yield list_folder(Path(data["folder"]).absolute(), pseudonym_key(PRIVATE), labels)


def make_sheet(data):
    """Write scans.csv and private/; what says the same already is not touched. Returns notes on the tables."""
    listings = list(list_data(data))
    found = [item for listing in listings for item in listing.scans]
    now = {item.row.scan for item in found}
    remember(PRIVATE, found, forget=read_map(PRIVATE).keys() - now)
    write_sheet(Path(SHEET), [item.row for item in found])
    return [note for listing in listings for note in listing.notes]


SHEET = config["sheet"] or out("scans.csv")
PRIVATE = Path(config["outdir"], "private")
NOTES = []
if EMBEDDED:
    from lungline.synthetic.cohort import plan_cohort

    PLANS = {plan.scan: plan for plan in plan_cohort(config["seed"], config["cohort"])}
elif INSERTED:
    from lungline.synthetic.implant_plan import plan_insertion

    PLANS = {plan.scan: plan for plan in plan_insertion(config["seed"], config["inserted"])}
if PLANS:
    ROWS = [ScanRow(p.scan, p.source, p.dataset, p.split, p.fold, p.label) for p in PLANS.values()]
else:
    if config["sheet"] is None and workflow.is_main_process:  # jobs on other machines only read it
        NOTES = make_sheet(config["data"])
    ROWS = read_sheet(Path(SHEET))

SCANS = {row.scan: row for row in ROWS}


def raw(wildcards):
    """The scan as the scanner left it: a file or a folder."""
    if PLANS:
        return out(f"{'cohort' if EMBEDDED else 'inserted'}/{PLANS[wildcards.scan].path}")
    return link_of(wildcards.scan)


def link_of(scan):
    """Where the raw files of a real scan are linked."""
    return str(Path(SHEET).parent / "private" / "raw" / scan)


def chest_of(scan, stage):
    """The file of a prepared chest that receives the nodules of a scan."""
    return out(f"inserted/chests/{stage}/{PLANS[scan].chest}.h5")


def beside_inserted(scan, suffix):
    """What lies beside an inserted scan: its nodules' outlines (.h5), or where they are (.csv)."""
    return out(f"inserted/{PLANS[scan].path.removesuffix('.mhd')}{suffix}")


def drawn(wildcards):
    """What of a raw scan the workflow makes itself; real scans are watched by their state, file by file."""
    if not PLANS:
        return []
    path = raw(wildcards)
    return [path, path.removesuffix(".mhd") + ".zraw"] if path.endswith(".mhd") else [path]


@functools.cache
def raw_of(scan):
    """The raw files of a scan as they are now; of one that the workflow draws nothing is known, but that it is small."""
    return RawState("drawn", 0) if PLANS else raw_state(Path(link_of(scan)), SCANS[scan].source)


def state_of_raw(wildcards):
    """Changes when a raw file of the scan changes, comes or goes; names no file, since Snakemake stores it."""
    return raw_of(wildcards.scan).digest


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
    if INSERTED:
        return out("inserted/luna16/annotations.csv")
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


def from_nodules(system):
    """Whether a system learns from single nodules of annotated scans instead of patients."""
    return config["systems"][system].get("learn_from", "patients") == "nodules"


def scans_to_teach(system):
    """Scans that a system learns from."""
    return (
        scans_to_reduce(config["systems"][system]["detector"]) if from_nodules(system) else scans_to_train_on("system")
    )


def scans_to_reduce(detector):
    """Training and validation scans whose candidates a second stage learns from."""
    scans, rows = training_scans(detector), rows_of(detector)
    train = [scan for scan in scans if rows[scan].split == "train"]
    most = (entry_of(detector).get("reduction") or {}).get("scans")
    return train[:most] + [scan for scan in scans if rows[scan].split == "valid"]


def scans_to_test_detection(rows=SCANS):
    return scans_where(rows, dataset=("luna16",), split=("test",)) if annotations() else []


def scans_with_annotations():
    """Scans whose annotations are used: to train a detector here, or to measure one."""
    if not DETECTORS:
        return []
    learned = [] if set(DETECTORS) <= set(config["models"]["detectors"] or {}) else scans_to_train_on("detector")
    return learned + scans_to_test_detection()


def checked_annotations():
    return [out("check_annotations.csv")] if scans_with_annotations() else []


def cases():
    """Scans that something is learned from here, or that answers are measured on."""
    given = set(config["models"]["systems"] or {})
    learned = [] if set(config["run"]) <= given else scans_to_train_on("system")
    return scans_with_annotations() + learned + labelled_tests()


def scans_with_every_nodule():
    """Test scans on which recall means something; of the embedded cohort the patients' nodules are known, too."""
    patients = scans_where(dataset=("dsb17",), split=("test",)) if EMBEDDED else []
    return scans_to_test_detection() + patients


def every_nodule():
    return out("cohort/nodules.csv") if EMBEDDED else annotations() or []


def scans_to_answer(detector):
    """Scans whose candidates count: of a fold its test scans, else those and the patients."""
    tests = scans_to_test_detection(rows_of(detector))
    return tests if "@" in detector else tests + scans_to_score() + taught_by_nodules() if DETECTORS else []


def taught_by_nodules():
    """Annotated scans whose candidates systems learn from one by one."""
    return list(
        dict.fromkeys(scan for system in filter(from_nodules, config["run"]) for scan in scans_to_teach(system))
    )


def reduces(detector):
    """Whether a detector ranks its candidates by a network of their own."""
    return entry_of(detector).get("reduction") is not None


def scans_to_detect(detector):
    """Those to be answered; a reduction network learns from the candidates of the training scans, too."""
    fold = "".join(detector.partition("@")[1:])
    more = [scan for other in filter(reduces, DETECTORS) for scan in scans_to_reduce(other + fold)]
    return list(dict.fromkeys(scans_to_answer(detector) + more))


def jobs_of(step, scans_of, jobs):
    """Name of a step -> its detectors, and the scans that one job of it takes.

    Those are any one scan, or those of one hash in `jobs` groups: a new scan joins one group and leaves the others
    alone. The scans of a fold are one more group.
    """
    if jobs is None:
        return {step: (rf"{NAME}(@[0-9])?", ["{scan}"])}
    groups = {}
    for scan in scans_of(""):
        groups.setdefault(int(hashlib.sha256(scan.encode()).hexdigest(), 16) % jobs, []).append(scan)
    jobs = {f"{step}_{number}": (NAME, scans) for number, scans in sorted(groups.items())}
    jobs |= {f"{step}_fold_{fold}": (f"{NAME}@{fold}", scans_of(f"@{fold}")) for fold in folds()}
    return {name: (detectors, scans) for name, (detectors, scans) in jobs.items() if scans}


def scans_with_cubes(detector):
    """Those whose candidates a system looks at."""
    return scans_to_score() + taught_by_nodules() if DETECTORS and "@" not in detector else []


def told(files):
    """The scans of a job in a few words."""
    return Path(files[0]).stem if len(files) == 1 else f"{len(files)} scans"


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


def networks_of(detector):
    """Those that its three U-Nets depend on."""
    return {part: value for part, value in entry_of(detector).items() if part not in ("candidates", "reduction")}


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
elif INSERTED:
    NODULES = {plan.scan: plan.digest for plan in PLANS.values()}
elif annotations():
    for nodule in read_annotations(Path(annotations())):
        NODULES.setdefault(nodule.scan, []).append((*nodule.centre_xyz_mm, nodule.diameter_mm))
    NOTES += note_annotations(Path(annotations()), SCANS)

if not PLANS and workflow.is_main_process:
    write_notes(Path(out("input_warnings.csv")), NOTES)
    say(NOTES, Path(out("input_warnings.csv")))


def nodules_digest(scans):
    """Changes when the annotated nodules of these scans change, and not when others do."""
    nodules = [NODULES.get(scan, []) for scan in scans]
    return hashlib.sha256(json.dumps(nodules).encode()).hexdigest()[:16]


# ---- models: trained here, or given ------------------------------------------------------------------------


def model_folder(kind, name):
    """Folder of a trained detector or system."""
    given = (config["models"].get(f"{kind}s") or {}).get(name)
    if given is None and len(scans_to_teach(name) if kind == "system" else scans_to_train_on(kind)) == 0:
        lacks = "annotated LUNA-16 scan" if kind == "detector" else "labelled patient"
        raise LunglineError(
            f"{kind} '{name}' cannot be trained: no {lacks} for training. Name its folder under models.{kind}s."
        )
    return given or out(f"train_{'unet' if kind == 'detector' else kind}/{name}")


def training_scans(detector):
    return scans_to_train_on("detector", rows_of(detector))


def network(detector, axis):
    return f"{model_folder('detector', detector)}/{axis}/weights.safetensors"


def cards_of(detector):
    """The cards of all networks of a detector."""
    return [f"{model_folder('detector', detector)}/{part}/card.json" for part in parts_of(detector)]


def cards_of_system(system):
    """The cards of all networks of a system's detector, if it has one."""
    return cards_of(config["systems"][system]["detector"]) if kind_of(system) == "patches" else []


def parts_of(detector):
    """The networks of a detector: one an axis, and the one that ranks its candidates where there is one."""
    return [*AXES, "reduction"] if reduces(detector) else [*AXES]


def candidate_settings(detector):
    """How a detector's candidates are picked: `extract_candidates:`, and what its own entry says otherwise."""
    return config["extract_candidates"] | entry_of(detector).get("candidates", {})


def ranking_settings(detector):
    """How a second stage ranks candidates: how many are kept, and what its entry says of it."""
    told = {key: value for key, value in entry_of(detector)["reduction"].items() if key == "turns"}
    return {"count": config["extract_candidates"]["count"], **told}


def candidates_of(detector, scans):
    """The candidates that count: those of the last stage of a detector."""
    last = "rank_candidates" if reduces(detector) else "extract_candidates"
    return [out(f"{last}/{detector}/{scan}.csv") for scan in scans]


def kind_of(system):
    return config["systems"][system]["kind"]


def read_by(system):
    """Folder of the files that a system of its kind reads, one a scan; a baseline reads no more than their headers."""
    entry = config["systems"][system]
    if entry["kind"] == "patches":
        return out(f"crop_patches/{entry['detector']}")
    size = entry.get("input", {}).get("resize_to")
    return out(f"resize_volume/{size}" if size else "cache_volume")


def start_of(system):
    """The weights of the reduction network with which a system starts, or none."""
    entry = config["systems"][system]
    return [network(entry["detector"], "reduction")] if entry.get("start") == "reduction" else []


def inputs_of(system, scans):
    return [f"{read_by(system)}/{scan}.h5" for scan in scans]


def system_mem_mb(system):
    """Of a job that trains or scores; a filled-up lung region at full size needs most."""
    return 32000 if "pad_to" in config["systems"][system].get("input", {}) else 8000


def settings_of(system):
    """What each stage is told about a scan on its way to the answer of a system."""
    entry, kept = config["systems"][system], config["extract_candidates"]["count"]
    low, high = config["segment_lungs"]["plausible_ml"]  # of an adult, whatever this run's chests are
    lungs = {key: config["segment_lungs"][key] for key in ("threshold_hu", "margin_mm")}
    settings = {
        "resample": config["resample"],
        "segment_lungs": {**lungs, "plausible_ml_low": low, "plausible_ml_high": high},
        "cache_volume": config["cache_volume"],
    }
    if entry["kind"] == "volume" and "resize_to" in entry["input"]:
        settings["resize_volume"] = {"size": entry["input"]["resize_to"]}
    if entry["kind"] == "patches":
        settings["detect"] = {"precision": config["precision"]}
        settings["extract_candidates"] = candidate_settings(entry["detector"])
        if reduces(entry["detector"]):
            settings["rank_candidates"] = ranking_settings(entry["detector"])
        settings["crop_patches"] = {"count": kept, **config["crop_patches"]}
    return settings


# ---- what can be measured and shown ------------------------------------------------------------------------


def excluded_findings():
    """Findings that count neither way: `annotations_excluded.csv` beside the annotations of LUNA-16."""
    if INSERTED:
        return out("inserted/luna16/annotations_excluded.csv")
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
    if kind_of(system) != "patches" or not scans_to_test_detection():
        return []
    return out(f"evaluate/detection-{config['systems'][system]['detector']}.json")


def learning_curves_of(system):
    """Curves of what is trained here for a system."""
    folders = [model_folder("system", system)]
    if kind_of(system) == "patches":
        detector = config["systems"][system]["detector"]
        folders = [*map(os.path.dirname, cards_of(detector)), *folders]
    return [f"{folder}/learning_curve.csv" for folder in folders if folder.startswith(out("train_"))]


def seed_of(system):
    return config["systems"][system].get("training", {}).get("seed") or config["seed"]


def without_seeds(entry):
    """A part of the configuration without the seeds of trainings."""
    if not isinstance(entry, dict):
        return entry
    return {key: without_seeds(value) for key, value in entry.items() if key != "seed"}


def recipe_of(system):
    """All settings of a system and its detector but their seeds: equal for trainings that repeat one another."""
    entry = without_seeds(config["systems"][system])
    if kind_of(system) == "patches":
        entry["detector"] = without_seeds(entry_of(entry["detector"]))
    return json.dumps(entry, sort_keys=True)


def compared():
    """System -> the files that say how good it is and what it cost."""
    systems = config["compare"]["systems"] or config["run"]
    return {
        system: {
            "kind": kind_of(system),
            "seed": None if system in config["models"].get("systems", {}) else seed_of(system),
            "repeats": next(other for other in systems if recipe_of(other) == recipe_of(system)),
            "predictions": out(f"collect_predictions/{system}.csv"),
            "detection": detection_of(system) or None,
            "benchmarks": [
                out(f"benchmarks/{Path(curve).parent.relative_to(config['outdir'])}.tsv")
                for curve in learning_curves_of(system)
            ],
        }
        for system in systems
    }


def pipelines():
    """What `lungline predict` needs to answer new scans."""
    return [out(f"pipeline/{system}.json") for system in config["run"] if kind_of(system) != "constant"]


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
        known(scan, scans_to_answer(DRAWN), "figures.scans: no scan that is searched for nodules is called")
    return chosen


def figures():
    """Figures 4 and 5 are a detector's: without one there are none."""
    return [out(f"figures/{scan}") for scan in figure_scans()] if DETECTORS else []


def page_scans():
    """Patients with a page: the named ones, all, or the first test patient."""
    chosen, patients = config["pages"]["scans"], scans_to_score()
    if chosen == "auto":
        return [scan for scan in patients if SCANS[scan].split == "test"][:1]
    if chosen == "all":
        return patients
    for scan in chosen:
        known(scan, patients, "pages.scans: no patient is called")
    return chosen


def pages():
    """The page of the cohort, as the first system that looks at scans answers for it, and those of its scans."""
    return [out(f"pages/{system}/index.html") for system in config["run"] if kind_of(system) != "constant"][:1]


def searched_for(system):
    """The detector of a system, or None."""
    return config["systems"][system]["detector"] if kind_of(system) == "patches" else None


def probability_for(system, scan):
    detector = searched_for(system)
    return [out(f"detect/{detector}/{scan}.h5")] if detector else []


def candidates_for(system, scan):
    detector = searched_for(system)
    return candidates_of(detector, [scan]) if detector else []


def labels_for(system, scan):
    """The label map of the candidates that a system looks at."""
    detector = searched_for(system)
    return [out(f"extract_candidates/{detector}/{scan}.h5")] if detector else []
