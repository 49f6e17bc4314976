# The kit on processors alone: 1.6 GB over the base image. Its commands were run in a fresh environment of Python 3.11; no
# container engine was there to build it. With a GPU: docker build --build-arg BASE=pytorch/pytorch:2.13.0-cuda... (has torch)
#     docker build -t youku . && docker run --rm --user "$(id -u)" -v "$PWD/data:/data" youku predict low high
ARG BASE=python:3.11-slim
FROM $BASE
ENV PIP_NO_CACHE_DIR=1 PIP_BREAK_SYSTEM_PACKAGES=1 HOME=/tmp
WORKDIR /kit
COPY pyproject.toml requirements.txt README.md ./
RUN pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
RUN pip install -r requirements.txt
COPY youku youku
RUN pip install --no-deps .  # without a C compiler in BASE, as in the slim one, planes take 3 times as long
WORKDIR /data
ENTRYPOINT ["youku"]
