# The parts of the workflow, and targets by name.
include: "common.smk"


WHOLE = [
    out("predictions.csv"),
    out("lungs.csv") if STUDY.patients else [],
    FILES.checked_annotations,
    FILES.evaluations,
    FILES.curves,
    FILES.bundles,
    FILES.figures,
    FILES.pages,
]


if SYNTHETIC:

    include: "cohort.smk"

elif IMPLANTED:

    include: "implanted.smk"


include: "preprocess.smk"
include: "leakage.smk"
include: "nodules.smk"
include: "candidates.smk"
include: "classifiers.smk"
include: "evaluate.smk"
include: "pages.smk"
include: "folds.smk"
include: "compare.smk"


# ---- parts of it, by name: `snakemake caches` --------------------------------------------------------------


rule caches:
    input:
        FILES.of("cache_volume/{scan}.h5", STUDY.rows),


rule detectors:
    input:
        [FILES.networks(detector) for detector in STUDY.detectors],


rule candidates:
    input:
        [FILES.candidates_of(detector, STUDY.answered(detector)) for detector in STUDY.detectors],


rule predictions:
    input:
        out("predictions.csv"),


rule pretrained:
    input:
        FILES.evaluations,
        FILES.bundles,


# Snakemake copies all names of the Snakefile four times a job: two for each of hundreds of rules took a fourth of the time.
for name in [name for name in globals() if name.startswith("__") and not name.endswith("__")]:
    del globals()[name]
