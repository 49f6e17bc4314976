# The kit on processors alone. Not built where it was written: no container tool was there.
# For GPUs: the vendor's torch image of that version in the FROM line, and leave the line that installs torch out.
#     docker build -t youku . && docker run --rm -v "$PWD/data:/data" youku predict /data/low /data/high --shard auto/8
FROM python:3.11-slim
WORKDIR /kit
COPY pyproject.toml requirements.txt README.md ./
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir -r requirements.txt
COPY youku youku
RUN pip install --no-cache-dir --no-deps .
ENTRYPOINT ["python", "-m", "youku"]
