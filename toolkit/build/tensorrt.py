"""Build engines with classic TensorRT 8.5 to 11, which happens on the GPU that will run them.

The only module that touches the builder. `trt` is the module of the bindings and is passed in:
TensorRT-RTX's own bindings run this code where there is no GPU, which is evidence for the code,
not for TensorRT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets.lookup import get
from toolkit.build.builder_caches import (
    calibrate_from,
    load_timing_cache,
    save_timing_cache,
)
from toolkit.build.builder_watch import BuildWatch, watch_build
from toolkit.build.inspector_layers import layers_from_inspector
from toolkit.build.layer_table import LayerTable, parse_layer_table
from toolkit.build.request import COMPATIBLE, BatchRange, BuildRequest, Built
from toolkit.build.tensorrt_network import parse_graph, refused, set_batch
from toolkit.build.tensorrt_offers import Offers, Typing, offers_of, typing_for
from toolkit.build.workspace import workspace_for
from toolkit.contract import Contract
from toolkit.errors import BuildError, EdgekitError, MachineError
from toolkit.onnx_model.file import convolution_names
from toolkit.progress import ProgressCallback
from toolkit.tensorrt_log import newest_errors

__all__ = ["ClassicOptions", "build_with", "classic_options"]


@dataclass(frozen=True)
class ClassicOptions:
    """What a build needs beyond the request.

    `gpu`: the name of the GPU that builds. `timing_cache`: measurements of tactics, good for one
    GPU and version only. `hardware_level`: "AMPERE_PLUS" or "SAME_COMPUTE_CAPABILITY" for an engine
    that other GPUs can load. `calibration_cache`: TensorRT's text file of ranges; INT8 then comes
    from it and not from Q/DQ (the DLA before TensorRT 11).
    """

    gpu: str = ""
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_level: str = ""
    dla_core: int | None = None
    calibration_cache: Path | None = None


def classic_options(trt: Any, request: BuildRequest, *, gpu: str) -> ClassicOptions:
    """Return what the request means for a build on `gpu`: timings are kept beside the engine."""
    asked = request.options
    slug = re.sub(r"[^a-z0-9]+", "-", gpu.lower()).strip("-")
    beside = request.out.with_name(f"{slug}.{trt.__name__}-{trt.__version__}.timing-cache")
    levels = [COMPATIBLE[word] for word in asked.compatible if word != "version"]
    return ClassicOptions(
        gpu=gpu,
        timing_cache=asked.timing_cache or beside,
        version_compatible="version" in asked.compatible,
        hardware_level=levels[0] if levels else "",
        dla_core=asked.dla_core,
        calibration_cache=request.calibration_cache,
    )


def build_with(
    trt: Any,
    request: BuildRequest,
    out: Path,
    progress: ProgressCallback,
    *,
    options: ClassicOptions | None = None,
) -> Built:
    """Write the engine to `out`. Raises BuildError with the parser's or builder's own words."""
    options = options or ClassicOptions()
    offers = offers_of(trt)
    _check_offered(trt, offers, options)
    names = convolution_names(request.model.path)
    watch = watch_build(trt, progress)
    try:
        with watch.listening():
            batch, flags = _write_plan(trt, request, out, watch, offers, options)
    except EdgekitError as stopped:
        # Whoever keeps the traceback would keep the builder in its frames.
        raise stopped.with_traceback(None) from stopped.__cause__
    table = _layers(trt, offers, out, watch, names)
    int8, floats = table.count(names)
    contract = request.model.contract
    if options.calibration_cache is not None:
        contract = contract.with_changes(precision="int8")  # the model itself is float
    contract, notes = _described(contract, batch, table, watch, int8_convs=int8)
    return Built(
        contract=contract,
        built_with=f"{trt.__name__} {trt.__version__}",
        built_on=options.gpu or ("no GPU (ahead of time)" if offers.needs_no_gpu else "this GPU"),
        int8_convs=int8,
        float_convs=floats,
        kernels=table.kernels,
        reproducible=False,  # tactics are chosen by timing them
        notes=notes,
        flags=flags,
    )


def _write_plan(
    trt: Any,
    request: BuildRequest,
    out: Path,
    watch: BuildWatch,
    offers: Offers,
    options: ClassicOptions,
) -> tuple[BatchRange | None, tuple[str, ...]]:
    """Write the engine; return the profile of its batch and the flags it was built with."""
    typing = typing_for(request, offers, implicit=options.calibration_cache is not None)
    builder = trt.Builder(watch.logger)
    network = builder.create_network(_creation_flags(trt, offers, typing))
    parse_graph(trt, request, network, watch)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that layers can be counted
    if watch.monitor is not None:
        config.progress_monitor = watch.monitor
    batch = set_batch(request, builder, network, config)
    _limit_memory(trt, request, config)
    flags = _set_flags(trt, config, typing, options)
    kept = [calibrate_from(trt, config, options.calibration_cache)]  # alive until it has built
    _aim(trt, request, offers, config, options)
    load_timing_cache(config, options.timing_cache)
    plan = builder.build_serialized_network(network, config) if watch.goes_on else None
    del kept
    if plan is None and watch.goes_on:
        raise refused(trt, request, watch.errors)
    if plan is not None:
        out.write_bytes(plan)
        save_timing_cache(config, options.timing_cache)
    # What a callback raised holds this frame, and with it the builder, until somebody handles it.
    del config, network, builder
    return batch, flags


def _check_offered(trt: Any, offers: Offers, options: ClassicOptions) -> None:
    """Refuse what was asked for and does not exist, instead of leaving it out silently."""
    missing = {
        "version-compatible engines": options.version_compatible and not offers.version_compatible,
        f"hardware level {options.hardware_level}": options.hardware_level
        and options.hardware_level not in offers.hardware_levels,
        "a DLA": options.dla_core is not None and not offers.dla,
        "calibration caches": options.calibration_cache is not None
        and not offers.calibration_cache,
        "timing caches without a GPU": options.timing_cache is not None and offers.needs_no_gpu,
    }
    for what, is_missing in missing.items():
        if is_missing:
            raise BuildError(
                f"{trt.__name__} {trt.__version__} does not have {what}.",
                next_command="edgekit targets",
            )


def _creation_flags(trt: Any, offers: Offers, typing: Typing) -> int:
    creation = trt.NetworkDefinitionCreationFlag
    flags = 0
    if offers.explicit_batch_flag:
        flags |= 1 << int(creation.EXPLICIT_BATCH)
    if typing.strongly_typed:
        flags |= 1 << int(creation.STRONGLY_TYPED)
    return flags


def _limit_memory(trt: Any, request: BuildRequest, config: Any) -> None:
    mib = request.workspace_mib or workspace_for(get(request.target.split(",")[0]))
    if mib is None:
        return
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, mib << 20)


def _set_flags(trt: Any, config: Any, typing: Typing, options: ClassicOptions) -> tuple[str, ...]:
    """Set the builder flags and return what the manifest says of them."""
    names = [*typing.flags]
    if options.version_compatible:
        names.append("VERSION_COMPATIBLE")
    if options.dla_core is not None:
        names.append("GPU_FALLBACK")
    for name in names:
        config.set_flag(getattr(trt.BuilderFlag, name))
    if options.dla_core is not None:
        names.append(f"DLA_CORE_{options.dla_core}")
    if options.hardware_level:
        levels = trt.HardwareCompatibilityLevel
        config.hardware_compatibility_level = getattr(levels, options.hardware_level)
        names.append(options.hardware_level)
    return (*(("STRONGLY_TYPED",) if typing.strongly_typed else ()), *names)


def _aim(
    trt: Any, request: BuildRequest, offers: Offers, config: Any, options: ClassicOptions
) -> None:
    if options.dla_core is not None:
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = options.dla_core
    if offers.needs_no_gpu:
        config.num_compute_capabilities = len(request.sms)
        for index, sm in enumerate(request.sms):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), index)


def _layers(
    trt: Any, offers: Offers, engine: Path, watch: BuildWatch, convolutions: list[str]
) -> LayerTable:
    """Return what runs in which type: from the log, or from the engine where a GPU can load it."""
    table = parse_layer_table("\n".join(watch.lines))
    if table.rows or offers.needs_no_gpu:
        return table
    loaded = trt.Runtime(watch.logger).deserialize_cuda_engine(engine.read_bytes())
    if loaded is None:
        raise MachineError(
            f"{trt.__name__} built an engine that it does not load here: {newest_errors(trt)}.",
            next_command="edgekit doctor",
        )
    inspector = loaded.create_engine_inspector()
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    return layers_from_inspector(text, convolutions=convolutions)


def _described(
    contract: Contract,
    batch: BatchRange | None,
    table: LayerTable,
    watch: BuildWatch,
    *,
    int8_convs: int,
) -> tuple[Contract, tuple[str, ...]]:
    """Return the engine's contract and what the manifest should note."""
    notes = [f"builder warning: {' '.join(text.split())}" for text in dict.fromkeys(watch.warnings)]
    if batch is not None:
        count = batch.minimum if batch.minimum == batch.maximum else 0
        contract = contract.with_changes(input_shape=(count, *contract.input_shape[1:]))
        notes.insert(0, f"batch {batch}")
    if not table.rows:
        notes.append("the builder named no layers: what runs in Int8 is unknown")
    elif contract.precision == "int8" and not int8_convs:
        notes.append("no convolution runs in Int8")
    return contract, tuple(notes)
