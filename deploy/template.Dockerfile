# Dataflow's launcher of the flex template: Google's launcher over the image of CPU workers.
#   docker build -f deploy/template.Dockerfile --build-arg WORKER=REGISTRY/pairmill-cpu:0.1.0 -t REGISTRY/pairmill-template:0.1.0 .
ARG LAUNCHER=gcr.io/dataflow-templates-base/python311-template-launcher-base:latest
ARG WORKER=pairmill-cpu:0.1.0

FROM ${LAUNCHER} AS launcher

FROM ${WORKER}
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
COPY deploy/dataflow/launch.py /opt/pairmill/launch.py
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/opt/pairmill/launch.py
ENTRYPOINT ["/opt/google/dataflow/python_template_launcher"]
