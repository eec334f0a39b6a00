"""The whole configuration: every key with its default, its range, its unit and one sentence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lungline.config.entries import ClassifierSpec, DetectorSpec, ExtractCandidates
from lungline.config.settings import Names, Once, Place, Settings
from lungline.errors import LunglineError
from lungline.names import Device, Precision, known
from lungline.scan_formats import Source
from lungline.splits import Split

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
ScanCount = Annotated[int, Field(ge=0, le=10_000)]
Pieces = Annotated[int, Field(ge=0, le=100)]


class TrainingThreads(Settings):
    """Cores of one job."""

    train_unet: int = Field(1, ge=1, description="Cores of a U-Net's training, all its processes together.")
    train_classifier: int = Field(2, ge=1)
    """Cores of the training of a classifier or a false-positive reduction, and of predict_cancer."""


class DataFolders(Settings):
    """Folders of real scans; at least one of luna16, dsb17 and folder."""

    luna16: Place | None = Field(None, description="Path of LUNA-16: subset0..9/*.mhd, annotations.csv.")
    dsb17: str | None = None
    """Path of DSB-17: stage1/PATIENT/*.dcm, stage1_labels.csv, and stage1_solution.csv for the test labels."""
    folder: str | None = None
    """Path of any folder: DICOM in sub-folders, .mhd, .nii, .nii.gz, zips. Scans get pseudonyms."""
    labels: str | None = Field(None, description="Path of labels for folder: a table id,cancer.")

    @model_validator(mode="after")
    def _check(self) -> DataFolders:
        if not (self.luna16 or self.dsb17 or self.folder):
            raise ValueError("expected a folder under luna16, dsb17 or folder. Found none.")
        return self


class Chest(Settings):
    """A real chest that receives nodules."""

    path: Place = Field(description="Path of the scan.")
    source: Source = Field(description="Its format.")
    splits: Annotated[tuple[Split, ...], Field(min_length=1), Once]
    """Splits in which it receives nodules."""
    smallest_mm: float = Field(0.0, ge=0, description="Smallest diameter of a nodule that it takes, mm.")
    lesions_xyz_radius_mm: tuple[tuple[float, float, float, float], ...] = ()
    """Known lesions as spheres (x, y, z, radius) in mm, LPS: cut out of training, not scored in a test."""


class ImplantedScans(Settings):
    """How many scans of a split are made, and what goes into each."""

    scans: int = Field(ge=0, le=999, description="Scans of this split.")
    nodules: int = Field(ge=1, le=100, description="Nodules in each.")
    distractors: Pieces = Field(description="Distractors: tissue that is no nodule, implanted alike, in each.")


class ImplantedSplits(Settings):
    """The scans of each split."""

    train: ImplantedScans = Field(description="Scans to train on.")
    valid: ImplantedScans = Field(description="Scans to choose weights on.")
    test: ImplantedScans = Field(description="Scans to test on.")


class Implanted(Settings):
    """Real nodules that are implanted into real chests (decision 15)."""

    nodules: Place
    """Path of a folder with image/, nodule_mask/ ({patient_id}_R_{nodule_id}.nii.gz) and nodules.csv (patient_id,
    nodule_id, diameter_mm, Diagnosis_value 0 or 1)."""
    chests: Annotated[dict[Name, Chest], Field(min_length=1)] = Field(description="The chests, by name.")
    leave_out: str | None = None
    """A chest that is not trained on and alone tested on, for figures chest by chest; null: none."""
    scans: ImplantedSplits = Field(description="How many scans are made.")


class Cohort(Settings):
    """Synthetic chests in the formats of LUNA-16 and DSB-17. More scans never change the others."""

    luna16_scans: ScanCount = Field(24, description="Scans with annotated nodules; every tenth is for testing.")
    dsb17_train: ScanCount = Field(80, description="Patients with a label for training and validation.")
    dsb17_test: ScanCount = Field(40, description="Patients with a label for testing.")
    anatomy_scale: float = Field(0.45, ge=0.25, le=1.2)
    """Size of the chests, 1 = adult; nodules keep their millimetres."""


class Resample(Settings):
    """Preparation: one grid for all scans (paper, section 3)."""

    spacing_mm: float = Field(1.0, ge=0.5, le=10, description="Edge of a voxel after resampling, mm.")


class SegmentLungs(Settings):
    """Preparation: the lungs (paper, section 3)."""

    threshold_hu: float = Field(-320.0, ge=-1000, le=400, description="What is darker is air or lung, HU.")
    margin_mm: float = Field(5.0, ge=0, le=50, description="How far the mask reaches beyond the lungs, mm.")
    plausible_ml: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] = (1000.0, 9000.0)
    """Volume of both lungs of an adult, ml: outside it the scan is used with a warning; scaled for the synthetic
    cohort."""


class CacheVolume(Settings):
    """Preparation: what the networks read."""

    region: Literal["lung_box", "whole"] = "lung_box"
    """lung_box: crop to the box of the mask; whole: keep whole slices, as the paper."""
    outside_hu: float = Field(-1000.0, ge=-1024, le=3071, description="Value outside the mask, HU.")
    compression: Literal["blosc", "gzip"] = "blosc"
    """blosc: quick; gzip: for programs without the Blosc filter."""


class Detect(Settings):
    """The three U-Nets (paper, section 4.2)."""

    jobs: int | None = Field(12, ge=1)
    """All scans in this many jobs, by hash of the id, in detection, candidates, their ranking and cubes: a new scan
    re-runs its group. Starting PyTorch costs more than searching a small chest. null: one job per scan, and a new scan
    re-runs nothing else."""


class CropPatches(Settings):
    """The cubes that classifiers of kind candidate look at."""

    size: int = Field(32, ge=8, le=64, multiple_of=8, description="Edge of a candidate's cube, voxels; the paper's 32.")


class Models(Settings):
    """Trained folders, used instead of training; no labels are needed."""

    detectors: dict[str, Place] = Field({})
    """Path by name of an entry, with z/, y/, x/; each holds weights.safetensors and card.json. packaged: those that
    come with lungline."""
    classifiers: dict[str, Place] = Field({})
    """Path by name of an entry, with weights.safetensors and card.json. packaged: those that come with lungline."""


class Compare(Settings):
    """What `snakemake compare` puts side by side."""

    classifiers: Annotated[Names, Field(min_length=1)] | None = None
    """Entries of classifiers; null: those of run."""
    reference: str | None = Field(
        None, description="The classifier that is subtracted from the others; null: the first."
    )


class Figures(Settings):
    """Figures 1-5 of the paper."""

    scans: Literal["auto"] | Names = "auto"
    """Ids of scans; auto: the first test scan with nodules and the first test patient."""


class Pages(Settings):
    """Nodule tables and pages."""

    scans: Literal["auto", "all"] | Names = "auto"
    """Ids of patients; auto: the first test patient; all: every one, which keeps ingest/ and resample/ until all are
    scored."""


class Config(Settings):
    """The whole configuration. Scans come from the first of manifest, data, implanted, cohort that is not null."""

    outdir: Place = Field("results/demo", description="Path of the folder of everything that is made.")
    seed: int = Field(1, ge=0)
    """Of the cohort, the order of training cases and the first weights. Same seed, training_threads and
    training_processes, same bytes."""
    device: Device = Field("auto", description="auto takes a GPU where there is one.")
    precision: Precision = "float32"
    """Of the networks while they train and while the U-Nets search: bfloat16 for convolutions and products, the rest in
    float32; auto: bfloat16 where the processor itself has it (GPU, AVX512-BF16, AMX), so another processor may give
    other bytes. predict_cancer and rank_candidates answer in float32 always."""
    training_threads: TrainingThreads = TrainingThreads()
    """Cores of a job, at most what --cores gives; where it trains on a GPU, processes that make its batches. Bytes are
    promised at a fixed number."""
    training_processes: int = Field(1, ge=1)
    """Processes that train one U-Net together on one machine (torchrun), each with a GPU or training_threads.train_unet
    cores of its own; at most training.batch. The effective batch stays; a checkpoint of another number is not
    resumed."""
    keep_intermediates: bool = True
    """false deletes ingest/ and resample/ (0.3 GB per scan) as soon as nothing needs them."""
    manifest: Place | None = Field(
        None, description="Path of a manifest.csv made by lungline manifest, with private/ beside it."
    )
    data: DataFolders | None = Field(None, description="Folders of real scans.")
    annotations: Place | None = None
    """Path of nodules as a LUNA-16 annotations.csv; null: the one of data.luna16 or of the cohort."""
    implanted: Implanted | None = None
    """Real nodules implanted into real chests; used when manifest and data are null."""
    cohort: Cohort = Field(Cohort(), description="The synthetic cohort; used when the others are null.")
    resample: Resample = Field(Resample(), description="Preparation: the grid.")
    segment_lungs: SegmentLungs = Field(SegmentLungs(), description="Preparation: the lungs.")
    cache_volume: CacheVolume = Field(CacheVolume(), description="Preparation: what the networks read.")
    detect: Detect = Field(Detect(), description="The search for nodules.")
    extract_candidates: ExtractCandidates = Field(ExtractCandidates(), description="The candidates of a scan.")
    crop_patches: CropPatches = Field(CropPatches(), description="The cubes around them.")
    run: Annotated[Names, Field(min_length=1)] = ("m2-demo",)
    """Entries of classifiers to train and score; the first fills predictions.csv. Only the detectors that they name are
    trained."""
    models: Models = Field(Models(), description="Trained folders to use instead of training.")
    detectors: dict[Name, DetectorSpec] = Field({}, description="Detectors by name: three U-Nets each, one per axis.")
    classifiers: dict[Name, ClassifierSpec] = Field({}, description="Classifiers by name: one answer per patient.")
    folds: Annotated[tuple[Annotated[int, Field(ge=0, le=9)], ...], Field(min_length=1), Once] = tuple(range(10))
    """Subsets of LUNA-16 that snakemake folds holds out, one after the other; one without scans is left out."""
    compare: Compare = Field(Compare(), description="What snakemake compare puts side by side.")
    figures: Figures = Field(Figures(), description="Figures 1-5.")
    pages: Pages = Field(Pages(), description="Pages of patients.")

    @model_validator(mode="after")
    def _check_names(self) -> Config:
        """Every name that one part gives to another has an entry there."""
        for name in self.run:
            classifier = self.classifiers[known(name, self.classifiers, "run: no classifier")]
            if classifier.kind == "candidate":
                known(classifier.detector, self.detectors, f"classifiers.{name}.detector: no detector")
                if classifier.init_from == "fpr" and self.detectors[classifier.detector].fpr is None:
                    raise LunglineError(
                        f"classifiers.{name}.init_from: detector '{classifier.detector}' has no FPR network. "
                        "Give it one (detectors.NAME.fpr), or start from 'random'."
                    )
        compared = self.compare.classifiers or self.run
        for name in compared:
            known(name, self.classifiers, "compare.classifiers: no classifier")
        if self.compare.reference:
            known(self.compare.reference, compared, "compare.reference: no compared classifier")
        for kind, given, entries in (
            ("detectors", self.models.detectors, self.detectors),
            ("classifiers", self.models.classifiers, self.classifiers),
        ):
            for name in given:
                known(name, entries, f"models.{kind}: no entry")
        return self

    def candidate_settings(self, detector: str) -> ExtractCandidates:
        """How a detector's candidates are picked: `extract_candidates`, and what its own entry says otherwise."""
        own = self.detectors[detector].candidates.model_dump(exclude_none=True)
        return self.extract_candidates.model_copy(update=own)
