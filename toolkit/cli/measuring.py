"""The commands that run models: live, measure, score, compare, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from toolkit.cli.options import Host, Identity, Images, Json, Out, Port, Seed, Threads
from toolkit.cli.outcome import Outcome, verb
from toolkit.cli.progress import drawn

__all__ = ["compare", "live", "measure", "report", "score"]

Plan = Annotated[
    float, typer.Option(min=0.0, max=49.0, help="Say how many images show so many points.")
]


@verb
def live(
    engines: Annotated[
        list[Path],
        typer.Argument(help="Engine, or ONNX model for ONNX Runtime; several for replay://."),
    ],
    camera: Annotated[
        str,
        typer.Option(
            help="v4l2:///dev/video0, csi://0, rtsp://HOST/PATH, http://HOST/PATH, gst://PIPELINE, "
            "file://clip.avi, images://DIR, synthetic://640x480@30, replay://DIR."
        ),
    ],
    frames: Annotated[int, typer.Option(min=0, help="Stop after so many; 0: until it ends.")] = 0,
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0 leaves one core to the camera.")
    ] = 0,
    policy: Annotated[
        str, typer.Option(help="latest: the newest frame, drop others; queue: every frame.")
    ] = "latest",
    warmup: Annotated[int, typer.Option(min=0, help="Frames that are not measured.")] = 10,
    results: Annotated[
        str,
        typer.Option(help="A JSON line per frame: a file, -, unix:SOCKET or mqtt://HOST/TOPIC."),
    ] = "",
    smooth: Annotated[
        int, typer.Option(min=1, max=10_000, help="Answer with the mean over so many frames.")
    ] = 1,
    min_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Call answers below this uncertain.")
    ] = 0.0,
    record: Annotated[
        Path | None, typer.Option(help="Keep frames and answers in this new folder.")
    ] = None,
    record_mib: Annotated[int, typer.Option(min=1, help="Stop recording at this size.")] = 1024,
    calibration: Annotated[
        Path | None,
        typer.Option(help="With replay://: note how far the session left this calibration table."),
    ] = None,
    view: Annotated[
        str, typer.Option(help="web: a page, its address is printed; terminal: here.")
    ] = "",
    view_address: Annotated[
        str, typer.Option(help="HOST:PORT of the page; port 0: any free one.")
    ] = "127.0.0.1:8765",
    print_service: Annotated[
        bool, typer.Option("--print-service", help="Print a systemd unit for this run, and end.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where the summary goes.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Classify frames as they come and report the age of every answer.

    Example: `edgekit live model.int8.cpu.onnx --camera synthetic://640x480@30 --frames 300`
    """
    from calibration.parallel import available_cpus
    from toolkit.cli.live_options import LiveOptions
    from toolkit.cli.live_run import run

    options = LiveOptions(
        camera=camera,
        frames=frames,
        # With every core in the engine, decoding and preprocessing have none: half the throughput.
        threads=threads or max(1, available_cpus() - 1),
        policy=policy,
        warmup=warmup,
        results=results,
        smooth=smooth,
        min_confidence=min_confidence,
        record=record,
        record_mib=record_mib,
        calibration=calibration,
        view=view,
        view_address=view_address,
        out=out,
        as_json=as_json,
    )
    if print_service:
        from toolkit.cli.live_service import print_service as unit

        return unit(engines, options)
    with drawn(quiet=as_json or view == "terminal") as progress:
        return run(engines, options, progress=progress)


@verb
def measure(
    engines: Annotated[list[Path], typer.Argument(help="Engines to time, interleaved.")],
    threads: Threads = 0,
    samples: Annotated[int, typer.Option(min=1, help="Timed inferences per engine.")] = 1000,
    warmup: Annotated[int, typer.Option(min=0, help="Inferences before timing starts.")] = 50,
    seconds: Annotated[float, typer.Option(min=0.1, help="At most so long per engine.")] = 60.0,
    batch: Annotated[int, typer.Option(min=0, help="Images per inference; 0: as built.")] = 0,
    layers: Annotated[
        bool, typer.Option("--layers", help="Time every kernel, too (ONNX Runtime, trtexec).")
    ] = False,
    energy: Annotated[
        bool, typer.Option("--energy", help="Millijoules per inference above idle, too.")
    ] = False,
    seed: Seed = 0,
    host: Host = "",
    port: Port = 0,
    identity: Identity = None,
    edgekit: Annotated[
        str,
        typer.Option(
            help="With --host: its edgekit command or virtual environment (default: looked for; "
            "without one trtexec times TensorRT engines); none: trtexec."
        ),
    ] = "",
    resume: Annotated[
        str,
        typer.Option(help="With --host: find what a lost connection left; trtexec starts anew."),
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Also write the record, for `report`.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Time engines side by side: p50, p95, p99, with the conditions.

    Example: `edgekit measure model.cpu.onnx model.int8.cpu.onnx --threads 2`

    Example: `edgekit measure model.onnx --host pi@raspberrypi`
    """
    from toolkit.atomic import check_writable
    from toolkit.energy_windows import EnergyPlan
    from toolkit.errors import InputError
    from toolkit.latency import write_latency
    from toolkit.measure import measure as measure_
    from toolkit.shell import quoted

    if out is not None:
        check_writable(out)
    there = {"--edgekit": (edgekit, "something"), "--resume": (resume, "the id of a measurement")}
    for name, (value, what) in there.items():
        if value and not host:
            raise InputError(
                f"{name} {value} is {what} on another machine: it goes with --host.",
                next_command=f"edgekit measure ENGINE --host USER@HOST {name} {quoted(value)}",
            )
    options: dict[str, Any] = {
        "threads": threads,
        "samples": samples,
        "seconds": seconds,
        "warmup": warmup,
        "batch": batch,
        "seed": seed,
        "layers": layers,
    }
    with drawn(quiet=as_json) as progress:
        if host:
            from toolkit.cli.remote_run import measure_there

            runs = measure_there(
                engines,
                host=host,
                port=port,
                identity=identity,
                out=out,
                as_json=as_json,
                edgekit=edgekit,
                resume=resume,
                energy=energy,
                progress=progress,
                **options,
            )
        else:
            plan = EnergyPlan() if energy else None
            runs = measure_(engines, energy=plan, progress=progress, **options)
    if out is not None:
        write_latency(out, runs)
    return Outcome(
        "\n".join(run.line() for run in runs),
        {"runs": [run.to_dict() for run in runs]},
        details=tuple(
            line for run in runs for line in (*run.unstable, *run.notes, *run.slowest_lines())
        ),
    )


@verb
def score(
    model: Annotated[Path, typer.Argument(help="Engine or ONNX model.")],
    images: Images,
    threads: Threads = 0,
    limit: Annotated[int, typer.Option(min=0, help="Score so many, spread evenly; 0: all.")] = 0,
    plan: Plan = 0.0,
    journal: Annotated[
        Path | None, typer.Option(help="Keep what is scored here, and go on from it after a stop.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the record, for `report`.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Score top-1 and top-5 accuracy on a folder of labelled images.

    Example: `edgekit score model.int8.cpu.onnx --images val`
    """
    from toolkit.accuracy import write_accuracy
    from toolkit.atomic import check_writable
    from toolkit.score import score as score_

    if out is not None:
        check_writable(out)
    with drawn(quiet=as_json) as progress:
        accuracy = score_(
            model,
            images=images,
            threads=threads,
            limit=limit or None,
            journal=journal,
            progress=progress,
        )
    if out is not None:
        write_accuracy(out, accuracy)
    planned = (accuracy.plan(plan),) if plan else ()
    return Outcome(accuracy.line(), accuracy.to_dict(), details=(*accuracy.notes, *planned))


@verb
def compare(
    a: Annotated[Path, typer.Argument(help="The reference, usually the float model.")],
    b: Annotated[Path, typer.Argument(help="The model it is compared with.")],
    images: Images,
    threads: Threads = 0,
    limit: Annotated[int, typer.Option(min=0, help="Compare so many; 0: all.")] = 0,
    allow_different_preprocess: Annotated[
        bool,
        typer.Option("--allow-different-preprocess", help="Each model gets its own preprocessing."),
    ] = False,
    plan: Plan = 0.0,
    at_precision: Annotated[
        float | None, typer.Option(help="Carry over the confidence that gives A this precision.")
    ] = None,
    at_coverage: Annotated[
        float | None, typer.Option(help="Carry over the confidence that answers this share in A.")
    ] = None,
    corruptions: Annotated[
        str, typer.Option(help="all, or names with commas: compare under noise, blur, JPEG, too.")
    ] = "",
    seed: Seed = 0,
    journal: Annotated[
        Path | None,
        typer.Option(help="Keep what --corruptions has done here, and go on after a stop."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the record, for `report`.")] = None,
    as_json: Json = False,
) -> Outcome:
    """Compare two models on the same images: the drop, its interval, every changed answer.

    Example: `edgekit compare model.onnx model.int8.onnx --images val`
    """
    from toolkit.atomic import check_writable
    from toolkit.compare import compare as compare_
    from toolkit.comparison import write_comparison

    if out is not None:
        check_writable(out)
    with drawn(quiet=as_json) as progress:
        comparison = compare_(
            a,
            b,
            images=images,
            threads=threads,
            limit=limit or None,
            allow_different_preprocess=allow_different_preprocess,
            plan=plan or None,
            at_precision=at_precision,
            at_coverage=at_coverage,
            corruptions=corruptions.split(","),
            seed=seed,
            journal=journal,
            progress=progress,
        )
    if out is not None:
        write_comparison(out, comparison)
    parts = (comparison.robustness, comparison.maps)
    details = (*(part.line() for part in parts if part), *comparison.notes)
    return Outcome(comparison.line(), comparison.to_dict(), details=details)


@verb
def report(
    runs: Annotated[list[Path], typer.Argument(help="JSON files of other commands, or folders.")],
    out: Out = Path("report.html"),
    title: Annotated[str, typer.Option(help="Heading of the report.")] = "",
    as_json: Json = False,
) -> Outcome:
    """Write one self-contained HTML page from what the other commands measured.

    Example: `edgekit report runs/ --out report.html`
    """
    from toolkit.report import report as report_
    from toolkit.report.evidence import report_input_from_files

    made = report_(report_input_from_files(runs, title=title or None), out=out)
    return Outcome(f"{made.html}  {made.rows} rows", made.to_dict())
