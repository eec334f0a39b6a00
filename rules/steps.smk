# Every step, and the parts of the workflow by name. A module of its own, because Snakemake copies all names of the
# Snakefile four times a job, and every rule is one: with hundreds of batches that took a sixth of the time of planning.
include: "common.smk"


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


rule all:
    default_target: True
    input:
        out("predictions.csv"),
        FILES.checked_annotations,
        FILES.evaluations,
        FILES.curves,
        FILES.bundles,
        FILES.figures,
        FILES.pages,


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
