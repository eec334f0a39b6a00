# The checked configuration as a file, for the commands that read more than a few settings.
import hashlib

from lungline.config.loading import config_text


rule write_config:
    output:
        FILES.config,
    log:
        out("logs/write_config.log"),
    localrule: True
    params:
        digest=hashlib.sha256(config_text(CONFIG).encode()).hexdigest()[:16],
    message:
        "Writing the checked configuration"
    run:
        Path(output[0]).write_text(config_text(CONFIG), encoding="utf-8")
