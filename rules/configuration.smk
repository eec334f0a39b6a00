# The checked configuration as a file, for the commands that read more than a few settings.
from lungline.storage.saved_config import write_saved_config

#: Keys that no command reads from the file: a change of them writes nothing anew.
OF_THE_MACHINE = {"device", "training_threads", "training_processes", "keep_intermediates", "figures", "pages"}


rule write_config:
    output:
        FILES.config,
    log:
        out("logs/write_config.log"),
    localrule: True
    params:
        digest=digest(CONFIG.model_dump(mode="json", exclude=OF_THE_MACHINE)),
    message:
        "Writing the checked configuration"
    run:
        Path(output[0]).parent.chmod(0o700)
        write_saved_config(Path(output[0]), CONFIG)
