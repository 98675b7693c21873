# GPU workers: as cpu.Dockerfile, and vLLM in an environment of its own. CUDA's libraries come with torch; the driver is
# the machine's, which Dataflow mounts below /usr/local/nvidia.
#   docker build -f deploy/gpu.Dockerfile -t REGISTRY/pairmill-gpu:0.1.0 .
# Each RUN is a script that CI runs outside a container, with the same arguments; of vLLM it checks the versions.

FROM apache/beam_python3.11_sdk:2.77.0 AS beam

FROM python:3.11-slim-bookworm
WORKDIR /opt/pairmill/source
COPY --from=beam /opt/apache/beam /opt/apache/beam

# torch and vLLM compile kernels when they start.
COPY deploy/install_system.sh deploy/
RUN ["bash", "deploy/install_system.sh", "gcc", "g++", "libc6-dev"]

COPY deploy/install_worker.sh deploy/make_vllm_cuda.sh deploy/
COPY setup.py constraints.txt README.md ./
RUN ["sh", "deploy/install_worker.sh", "/opt/pairmill/venv", "azure", "captions", "concepts", "formats", "gcp", "parser", "s3", "text", "vision"]
ENV UV=/opt/pairmill/venv/bin/uv
RUN ["sh", "deploy/make_vllm_cuda.sh", "/opt/vllm"]

COPY pyproject.toml MANIFEST.in LICENSE ./
COPY schemas schemas
COPY filters filters
COPY captioners captioners
COPY beam_jobs beam_jobs
COPY deploy/install_package.sh deploy/cache_models.sh deploy/
RUN ["sh", "deploy/install_package.sh", "/opt/pairmill/venv"]

ENV HF_HOME=/opt/pairmill/models
RUN ["sh", "deploy/cache_models.sh", "/opt/pairmill/venv", "base"]

ENV PATH=/opt/pairmill/venv/bin:$PATH \
    HF_HUB_OFFLINE=1 \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64
ENTRYPOINT ["/opt/apache/beam/boot"]
