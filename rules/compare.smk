# Classifiers side by side, `snakemake compare`; their predictions in the format of the Data Science Bowl.


# Benchmarks are no inputs: they differ from run to run, and a lost one must not train again.
rule compare:
    input:
        predictions=lambda wildcards: [files["predictions"] for files in FILES.compared().values()],
        detections=lambda wildcards: [files["detection"] for files in FILES.compared().values() if files["detection"]],
    output:
        table=out("compare/comparison.csv"),
        page=report(out("compare/comparison.md"), caption="../report/compare.rst", category="Comparison"),
        forest=report(out("compare/comparison.png"), caption="../report/compare.rst", category="Comparison"),
    log:
        out("logs/compare.log"),
    benchmark:
        out("benchmarks/compare.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        config=PLACES.config,
        classifiers=lambda wildcards: digest([FILES.compared(), CONFIG.compare.reference]),
        code=fingerprint("compare"),
    message:
        "Comparing the classifiers"
    shell:
        "lungline compare {output.table:q} --config {params.config:q} > {log:q} 2>&1"


rule submissions:
    input:
        [out(f"submit_cancer/{classifier}.csv") for classifier in CONFIG.run],
        [out(f"submit_detection/{detector}.csv") for detector in STUDY.detectors if STUDY.detection_tests()],


rule submit_cancer:
    input:
        predictions=out("collect_predictions/{classifier}.csv"),
    output:
        submission=out("submit_cancer/{classifier}.csv"),
    log:
        out("logs/submit_cancer/{classifier}.log"),
    benchmark:
        out("benchmarks/submit_cancer/{classifier}.tsv")
    conda:
        "../envs/lungline.yaml"
    resources:
        mem_mb=memory(500),
        runtime=5,
    params:
        code=fingerprint("submit_cancer"),
    message:
        "Writing the predictions of classifier {wildcards.classifier} as a submission to the Data Science Bowl"
    shell:
        "lungline submit-cancer {output.submission:q} {input.predictions:q} > {log:q} 2>&1"
