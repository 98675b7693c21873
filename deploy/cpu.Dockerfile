# CPU workers on Dataflow, Flink, Spark: Beam's harness as the entry point, pairmill with all extras, models in a layer.
#   docker build -f deploy/cpu.Dockerfile -t REGISTRY/pairmill-cpu:0.1.0 .
# Each RUN is a script that CI runs outside a container, with the same arguments.

FROM apache/beam_python3.11_sdk:2.77.0 AS beam

FROM python:3.11-slim-bookworm
WORKDIR /opt/pairmill/source
COPY --from=beam /opt/apache/beam /opt/apache/beam

# What changes seldom comes first: these layers are of several GB.
COPY deploy/install_worker.sh deploy/
COPY setup.py constraints.txt README.md ./
RUN ["sh", "deploy/install_worker.sh", "/opt/pairmill/venv", "azure", "captions", "concepts", "formats", "gcp", "parser", "s3", "text", "vision"]

COPY pyproject.toml MANIFEST.in LICENSE ./
COPY schemas schemas
COPY filters filters
COPY captioners captioners
COPY beam_jobs beam_jobs
COPY deploy/install_package.sh deploy/cache_models.sh deploy/
RUN ["sh", "deploy/install_package.sh", "/opt/pairmill/venv"]

# Other recipes, other models: name them here, and nothing is fetched when workers start.
ENV HF_HOME=/opt/pairmill/models
RUN ["sh", "deploy/cache_models.sh", "/opt/pairmill/venv", "base"]

ENV PATH=/opt/pairmill/venv/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
ENTRYPOINT ["/opt/apache/beam/boot"]
