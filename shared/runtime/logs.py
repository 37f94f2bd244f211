"""JSON logs on stdout, one object a line."""

import logging
import sys

import structlog


def configure_logs(service: str, level: str) -> None:
    """Send our logs and the libraries' through structlog, as JSON."""

    def add_service(
        _: structlog.typing.WrappedLogger, __: str, entry: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        # Not a context variable: those are unknown to the threads of an executor.
        entry["service"] = service
        return entry

    shared: list[structlog.typing.Processor] = [
        add_service,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Without the frames' local variables: those of a driver hold passwords, those of a handler buyers' addresses.
        structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(sort_keys=False),
            ],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    # Both log each lost connection at length although the link says it in one line.
    for noisy in ("aiormq", "aio_pika", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # Says as an error what the link answers with a wait.
    logging.getLogger("aiormq.connection").setLevel(logging.CRITICAL)
