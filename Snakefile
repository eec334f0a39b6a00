# lungline: from raw chest CT to one probability a patient. Research use only. Not a medical device.
from snakemake.utils import min_version

# As a module from 9.12 on, which names rules as `use rule ... as` says also where a name is computed.
min_version("9.12" if workflow.modifier.namespace else "8.18")


configfile: workflow.source_path("config/config.yaml")


report: "report/workflow.rst"


include: "rules/common.smk"


rule all:
    input:
        out("predictions.csv"),
        FILES.checked_annotations,
        FILES.evaluations,
        FILES.curves,
        FILES.pipelines,
        FILES.figures,
        FILES.pages,


if SYNTHETIC:

    include: "rules/cohort.smk"

elif IMPLANTED:

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


# Snakemake copies all names of the Snakefile four times a job: two for each of hundreds of rules took a fourth of the time.
for name in [name for name in globals() if name.startswith("__") and not name.endswith("__")]:
    del globals()[name]
