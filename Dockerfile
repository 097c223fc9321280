# One image for the three services and the client: docker-compose.yml says which of them a container runs.

FROM python:3.13-slim AS packages
COPY requirements.txt .
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --require-hashes -r requirements.txt

FROM python:3.13-slim
ENV PATH="/venv/bin:$PATH"
# A new named volume takes its owner and mode from here.
RUN install -d -o 10001 -g 10001 -m 700 /data
WORKDIR /app
# Packages before code, so that a change of the code does not install them again.
COPY --from=packages /venv /venv
COPY services services
COPY client client
# Compiled now, since a container can't write here.
RUN python -m compileall -q services client
USER 10001:10001
CMD ["python", "client/run.py", "--help"]
