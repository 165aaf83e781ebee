# For machines with NVIDIA GPUs. Not built by the project's tests, which run where there is no Docker with GPUs.
#
#   docker build -t spectra .
#   docker run --rm --gpus all -v "$PWD:/work" spectra scan runs/mine -o mine.parquet
FROM pytorch/pytorch:2.10.0-cuda13.0-cudnn9-runtime
WORKDIR /opt/spectra
COPY . .
# There is no git to read the version from: --build-arg SETUPTOOLS_SCM_PRETEND_VERSION=0.1.0 says it.
ARG SETUPTOOLS_SCM_PRETEND_VERSION
# torch is the image's own, built for its CUDA; all else has the versions that were tested together.
RUN grep -v '^torch==' constraints.txt > /tmp/constraints.txt \
    && pip install --no-cache-dir -c /tmp/constraints.txt '.[report]' \
    && rm -rf /opt/spectra
WORKDIR /work
ENTRYPOINT ["spectra"]
CMD ["--help"]
