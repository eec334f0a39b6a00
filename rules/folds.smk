# Submissions in LUNA-16's format, their FROC, and the cross-validation over its subsets: `snakemake folds`.


rule folds:
    input:
        [out(f"froc/{detector}@folds.json") for detector in STUDY.detectors],


rule split_fold:
    input:
        manifest=ancient(FILES.manifest),
    output:
        manifest=out("split_fold/{fold}.csv"),
    log:
        out("logs/split_fold/{fold}.log"),
    benchmark:
        out("benchmarks/split_fold/{fold}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=5,
    params:
        rows_digest=STUDY.rows_digest(STUDY.where(dataset=("luna16",)), "scan", "fold"),
        code=fingerprint("split_fold"),
    message:
        "Holding subset {wildcards.fold} of LUNA-16 out"
    shell:
        "lungline split-fold {output.manifest:q} {input.manifest:q} --test-fold {wildcards.fold:q} > {log:q} 2>&1"


rule submit_detection:
    input:
        manifests=ancient(lambda wildcards: [FILES.manifest_of(name) for name in STUDY.members(wildcards.detector)]),
        cards=lambda wildcards: [card for name in STUDY.members(wildcards.detector) for card in FILES.cards_of(name)],
        candidates=lambda wildcards: [
            path
            for name in STUDY.members(wildcards.detector)
            for path in FILES.candidates_of(name, STUDY.detection_tests(name))
        ],
    output:
        marks=out("submit_detection/{detector}.csv"),
        scans=out("submit_detection/{detector}.seriesuids.csv"),
    log:
        out("logs/submit_detection/{detector}.log"),
    benchmark:
        out("benchmarks/submit_detection/{detector}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=10,
    params:
        options=lambda wildcards, input: options(
            manifests=input.manifests,
            candidates=[
                os.path.dirname(PLACES.candidates_of(name, ["-"])[0]) for name in STUDY.members(wildcards.detector)
            ],
            detectors=[PLACES.model_folder("detector", name) for name in STUDY.members(wildcards.detector)],
        ),
        code=fingerprint("submit_detection"),
    message:
        "Writing the marks of detector {wildcards.detector} as a submission to LUNA-16"
    shell:
        "lungline submit-detection {output.marks:q} {params.options} > {log:q} 2>&1"


rule froc:
    input:
        marks=out("submit_detection/{detector}.csv"),
        scans=out("submit_detection/{detector}.seriesuids.csv"),
        annotations=ancient(FILES.annotations or []),
        excluded=FILES.excluded_findings,
    output:
        metrics=out("froc/{detector}.json"),
        page=report(
            out("froc/{detector}.md"),
            caption="../report/detection.rst",
            category="Metrics",
            labels={"of": "detector {detector}, LUNA-16 protocol"},
        ),
    log:
        out("logs/froc/{detector}.log"),
    benchmark:
        out("benchmarks/froc/{detector}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        options=lambda wildcards, input: options(excluded=input.excluded, synthetic=SYNTHETIC),
        nodules_digest=STUDY.nodules_digest(STUDY.where(dataset=("luna16",))),
        code=fingerprint("froc"),
    message:
        "Scoring the marks of detector {wildcards.detector} by the rules of LUNA-16"
    shell:
        "lungline froc --submission {input.marks:q} --annotations {input.annotations:q} --seriesuids {input.scans:q}"
        " --out {output.metrics:q} {params.options} > {log:q} 2>&1"
