# lungline: from raw chest CT to one probability per patient. Research use only. Not a medical device.
from snakemake.utils import min_version

# As a module from 9.12 on, which names rules as `use rule ... as` says also where a name is computed.
min_version("9.12" if workflow.modifier.namespace else "8.18")


configfile: f"{workflow.current_basedir}/config/config.yaml"


report: "report/workflow.rst"


include: "rules/steps.smk"


rule all:
    input:
        WHOLE,
