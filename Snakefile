# lungline: from raw chest CT to one probability a patient. Research use only. Not a medical device.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"


if SYNTHETIC:

    include: "rules/cohort.smk"

elif IMPLANTED:

    include: "rules/inserted.smk"


include: "rules/configuration.smk"
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
        FILES.checked_annotations,
        FILES.evaluations,
        FILES.curves,
        FILES.pipelines,
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
        FILES.pipelines,
