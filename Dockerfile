# syntax=docker/dockerfile:1
# The operator's image: Python, the packages of requirements-runtime.lock, and our own code; nothing else.
#
#   docker build --tag upload-postprocessing .
#
# Wheels only, so no stage needs a compiler; nkeys, of which there is no wheel, is pure Python. BASE is any image
# with Python 3.11 or newer at the same place in both stages; name it with its digest for a build that can be
# repeated.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore SOURCE_DATE_EPOCH=0
RUN python3 -m venv --without-pip /opt/uploadpp
COPY requirements-runtime.lock /tmp/
# Without 37 MB of extensions of CEL, which policies do not use.
RUN python3 -m pip --python /opt/uploadpp install \
      --require-hashes --only-binary=:all: --no-binary=nkeys --no-deps --no-compile -r /tmp/requirements-runtime.lock \
 && rm -rf /opt/uploadpp/lib/python*/site-packages/cel_expr_python/ext
COPY operator/uploadpp /tmp/src/uploadpp
# Compiled by content, not by time: the root file system is read-only where this runs, and the files are the
# same in every build. Python's own modules too: official images come without, which costs each start 0.7 s of CPU.
RUN site=$(/opt/uploadpp/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
 && mv /tmp/src/uploadpp "$site/" \
 && own=$(/opt/uploadpp/bin/python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
 && PYTHONPYCACHEPREFIX=/opt/uploadpp/compiled /opt/uploadpp/bin/python -m compileall -q \
      --invalidation-mode unchecked-hash -x '/(test|tests|idlelib|lib2to3|turtledemo|pip|dist-packages)/' \
      /opt/uploadpp/lib "$own"

FROM ${BASE}
ARG BASE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="upload-postprocessing" \
      org.opencontainers.image.description="Postprocessing of ocis and OpenCloud uploads as a Kubernetes operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The upload-postprocessing authors" \
      org.opencontainers.image.authors="https://github.com/uploadpp/upload-postprocessing" \
      org.opencontainers.image.url="https://github.com/uploadpp/upload-postprocessing" \
      org.opencontainers.image.source="https://github.com/uploadpp/upload-postprocessing" \
      org.opencontainers.image.documentation="https://github.com/uploadpp/upload-postprocessing/blob/main/docs/README.md" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY LICENSE /usr/share/doc/upload-postprocessing/
COPY --from=packages /opt/uploadpp /opt/uploadpp
# Takes the place of the legacy service in charts that cannot leave it out: docs/adr/0042.
COPY operator/stand-in /usr/bin/ocis
COPY operator/stand-in /usr/bin/opencloud
ENV PATH=/opt/uploadpp/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPYCACHEPREFIX=/opt/uploadpp/compiled \
    PYTHONUNBUFFERED=1
# Of no user of the base image; a number, so that runAsNonRoot can be checked.
USER 65532:65532
WORKDIR /
EXPOSE 9255
ENTRYPOINT ["python", "-m", "uploadpp"]
CMD ["run"]
