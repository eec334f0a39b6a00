# lungline: from raw chest CT to one probability a patient. Research use only. Not a medical device.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"


if EMBEDDED:

    include: "rules/cohort.smk"

elif INSERTED:

    include: "rules/inserted.smk"


include: "rules/preprocess.smk"
include: "rules/leakage.smk"
include: "rules/nodules.smk"
include: "rules/candidates.smk"
include: "rules/systems.smk"
include: "rules/evaluate.smk"
include: "rules/pages.smk"
include: "rules/folds.smk"
include: "rules/compare.smk"


rule all:
    default_target: True
    input:
        out("predictions.csv"),
        checked_annotations(),
        evaluations(),
        curves(),
        pipelines(),
        figures(),
        pages(),


# ---- parts of it, by name: `snakemake caches` --------------------------------------------------------------


rule caches:
    input:
        out_of("cache_volume/{scan}.h5", SCANS),


rule detectors:
    input:
        [network(detector, axis) for detector in DETECTORS for axis in AXES],


rule candidates:
    input:
        [candidates_of(detector, scans_to_answer(detector)) for detector in DETECTORS],


rule predictions:
    input:
        out("predictions.csv"),


rule pretrained:
    input:
        evaluations(),
        pipelines(),
