from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.ssh_device import SshDevice, trust
from tests.unit.toolkit.onnx_graphs import contract, quantized_classifier
from tests.unit.toolkit.picture_folders import write_classes
from toolkit.artifacts import Engine, manifest_path, open_engine_file
from toolkit.calibrate import calibrate
from toolkit.errors import BuildError, EdgekitError, ForeignEngineError, RemoteError
from toolkit.onnx_model.file import write_onnx
from toolkit.progress import Progress
from toolkit.remote.build import build_on_device
from toolkit.remote.connection import address_from_text, open_connection
from toolkit.remote.transfer import put

ORIN = "jetson-orin-nano-8gb"


def build(device: SshDevice, model: Path, **options: Any) -> Engine:
    # One batch of four: the golden pictures then cost one start of the stand-in.
    wanted: dict[str, Any] = {"target": ORIN, "batch": "4", "root": str(device.root), **options}
    return build_on_device(model, host=device.address, **wanted)


def refused(device: SshDevice, model: Path, **options: Any) -> EdgekitError:
    with pytest.raises(EdgekitError) as caught:
        build(device, model, **options)
    left = sorted(path.name for path in model.parent.glob("*.engine*"))
    assert left in ([], [f"model.{ORIN}.engine.build.log"])
    return caught.value


@pytest.mark.parametrize(
    ("version", "target", "flags"),
    [
        ("8.2.1", "jetson-xavier-nx-8gb", ("INT8", "FP16")),
        ("8.5.2", ORIN, ("INT8", "FP16")),
        ("10.3.0", ORIN, ("INT8", "FP16")),
        ("11.1.0", "rtx-3090", ("STRONGLY_TYPED",)),
    ],
)
def test_an_int8_engine_is_built_pulled_and_verified_with_every_tensorrt(
    device: SshDevice, tmp_path: Path, version: str, target: str, flags: tuple[str, ...]
) -> None:
    scheme = "tensorrt-8" if version.startswith("8") else "tensorrt"
    made = contract(precision="int8", scheme=scheme, calibration="0" * 64)
    model = tmp_path / "model.int8.onnx"
    write_onnx(quantized_classifier(opset=13 if version == "8.2.1" else 17), model, made)
    device.has_trtexec(version)
    if target == "rtx-3090":
        (device.root / "proc" / "device-tree" / "compatible").unlink()
        device.has_gpu("NVIDIA GeForce RTX 3090", "8.6")
    elif version == "8.2.1":
        tree = device.root / "proc" / "device-tree" / "compatible"
        tree.write_text("nvidia,p3509-0000+p3668-0001\0nvidia,tegra194\0")

    engine = build(device, model, target=target)

    manifest = engine.manifest
    assert open_engine_file(engine.path) == engine
    assert (manifest.backend, manifest.built_with) == ("tensorrt", f"tensorrt {version}")
    assert (manifest.flags, manifest.int8_convs, manifest.kernels) == (flags, 2, 2)
    assert manifest.conditions["versions"] == {"tensorrt": version}
    assert engine.contract.input_shape == (4, 3, 16, 16)
    assert any(note.startswith("golden inputs (4, on the device)") for note in manifest.notes)
    assert any("a weight was cast down" in note for note in manifest.notes)
    log = engine.path.with_name(f"{engine.path.name}.build.log").read_text()
    assert "PASSED TensorRT.trtexec" in log
    assert not list((device.home / ".cache" / "edgekit" / "builds").iterdir())


def test_a_dynamic_batch_is_told_to_trtexec(device: SshDevice, model: Path) -> None:
    engine = build(device, model, batch="4:4:8")
    log = engine.path.with_name(f"{engine.path.name}.build.log").read_text()
    assert "--minShapes=image:4x3x16x16 --optShapes=image:4x3x16x16 --maxShapes=image:8x" in log
    assert "--memPoolSize=workspace:2048" in log
    assert engine.contract.input_shape[0] == 0


@pytest.mark.parametrize("stage", ["inspect", "push", "build", "pull"])
def test_a_connection_cut_at_any_stage_is_opened_again_and_the_build_ends(
    device: SshDevice, model: Path, stage: str
) -> None:
    device.has_trtexec("10.3.0", seconds=1.0)
    cuts: list[int] = []
    steps: list[str] = []

    def cut_once(progress: Progress) -> None:
        steps.append(progress.step)
        if progress.step == stage and not cuts:
            cuts.append(device.cut())

    engine = build(device, model, progress=cut_once, pauses_s=(0.05,) * 20)
    assert cuts and cuts[0] >= 1
    assert "connect" in steps
    assert any("the connection was cut" in note for note in engine.manifest.notes)
    log = engine.path.with_name(f"{engine.path.name}.build.log").read_text()
    assert log.count("Tactic group 9 timed") == 1  # it was built once, and no line is there twice


def test_a_build_that_went_on_without_us_is_found(device: SshDevice, model: Path) -> None:
    device.has_trtexec("10.3.0", seconds=3.0)

    def vanish(progress: Progress) -> None:
        if progress.step == "build" and "Tactic group 0" in progress.note:
            device.stop()

    gone = refused(device, model, progress=vanish, pauses_s=(0.05,))
    assert "goes on and is found" in str(gone)
    assert gone.next_command.startswith("edgekit build ")
    device.start()
    engine = build(device, model)
    assert any("an earlier connection was cut" in note for note in engine.manifest.notes)


def test_a_finished_engine_is_found_and_not_built_again(device: SshDevice, model: Path) -> None:
    seen: list[Progress] = []
    device.has_trtexec("10.3.0", seconds=1.0)

    def vanish(progress: Progress) -> None:
        if progress.step == "pull":
            device.stop()

    refused(device, model, progress=vanish, pauses_s=(0.05,))
    device.start()
    engine = build(device, model, progress=seen.append)
    assert any("the engine was found finished" in note for note in engine.manifest.notes)
    assert "push" not in {progress.step for progress in seen}


def test_an_unknown_host_key_is_refused_and_not_added(device: SshDevice, model: Path) -> None:
    device.known_hosts.unlink()
    error = refused(device, model)
    assert isinstance(error, RemoteError)
    assert "is not known (SHA256:" in error.message
    assert error.next_command.startswith(f"ssh-keyscan -p {device.port} 127.0.0.1 >> ")
    assert not device.known_hosts.exists()


def test_a_changed_host_key_is_refused_until_it_is_removed(device: SshDevice, model: Path) -> None:
    before = device.known_hosts.read_text()
    device.new_host_key()
    error = refused(device, model)
    assert isinstance(error, RemoteError)
    assert "has changed" in error.message
    assert error.next_command.startswith(f"ssh-keygen -R '[127.0.0.1]:{device.port}'")
    assert device.known_hosts.read_text() == before
    trust(device)
    build(device, model)


def test_a_key_the_device_does_not_know_is_refused(
    device: SshDevice, model: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    device.make_key(wrong)
    address = dataclasses.replace(device.address, identity=wrong)
    with pytest.raises(RemoteError, match="accepts none of our keys") as caught:
        build_on_device(model, target=ORIN, host=address, root=str(device.root))
    assert caught.value.next_command.startswith("ssh-copy-id")


def test_a_device_that_is_switched_off_is_one_sentence(device: SshDevice, model: Path) -> None:
    device.stop()
    error = refused(device, model, pauses_s=(60.0,))  # it never answered: nothing is waited for
    assert "cannot be reached at 127.0.0.1" in error.message


def test_the_ssh_config_names_host_port_user_and_key(device: SshDevice, model: Path) -> None:
    (device.client / ".ssh" / "config").write_text(
        f"Host orin\n  HostName 127.0.0.1\n  Port {device.port}\n"
        f"  User {device.address.user}\n  IdentityFile {device.key}\n  IdentitiesOnly yes\n"
    )
    with open_connection(address_from_text("orin")) as connection:
        assert connection.run("echo here").text == "here"


def test_a_key_of_the_agent_opens_the_device(
    device: SshDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = dataclasses.replace(device.address, identity=None)
    with (
        pytest.raises(RemoteError, match="accepts none of our keys"),
        open_connection(address),
    ):
        pass
    with device.agent() as agent:
        monkeypatch.setenv("SSH_AUTH_SOCK", agent)
        with open_connection(address) as connection:
            assert connection.run("echo here").text == "here"


def test_a_device_without_trtexec_is_told_what_to_install(device: SshDevice, model: Path) -> None:
    (device.folder / "bin" / "trtexec").unlink()
    error = refused(device, model)
    assert "has no trtexec" in error.message
    assert "sudo apt-get install nvidia-jetpack" in error.next_command


def test_another_board_than_the_target_is_refused(device: SshDevice, model: Path) -> None:
    error = refused(device, model, target="jetson-xavier-nx-8gb")
    assert isinstance(error, ForeignEngineError)
    assert f"--target {ORIN}" in error.next_command


def test_too_little_memory_is_refused_and_little_is_warned_of(
    device: SshDevice, model: Path
) -> None:
    memory = device.root / "proc" / "meminfo"
    memory.write_text("MemTotal: 7802664 kB\nMemAvailable: 211076 kB\nSwapFree: 0 kB\n")
    assert "Linux would kill the builder" in refused(device, model).message
    memory.write_text("MemTotal: 7802664 kB\nMemAvailable: 911076 kB\nSwapFree: 0 kB\n")
    assert any("may be killed" in note for note in build(device, model).manifest.notes)


def test_a_refused_model_is_explained_and_its_log_is_kept(device: SshDevice, model: Path) -> None:
    device.has_trtexec("10.3.0", mode="refuse")
    error = refused(device, model)
    assert isinstance(error, BuildError)
    assert "exit code 1" in error.message
    assert error.next_command.startswith("edgekit doctor --log ")
    device.has_trtexec("10.3.0")
    build(device, model)  # a build that failed is not taken for one that is finished


def test_wrong_answers_on_the_device_fail_the_build(device: SshDevice, model: Path) -> None:
    device.has_trtexec("10.3.0", mode="wrong")
    assert "does not compute what its graph says" in refused(device, model).message


def test_a_killed_builder_is_named(device: SshDevice, model: Path) -> None:
    device.has_trtexec("10.3.0", mode="killed")
    error = refused(device, model)
    assert "was killed: out of memory" in error.message
    assert "dmesg" in error.next_command


def test_a_full_disk_on_the_device_is_named(device: SshDevice, model: Path) -> None:
    device.has_trtexec("10.3.0", mode="full")
    error = refused(device, model)
    assert "The disk of" in error.message and "df -h" in error.next_command


def test_pushing_to_a_full_disk_is_named(device: SshDevice, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(3 << 20))
    with device.small_disk() as full, open_connection(device.address) as connection:
        with pytest.raises(RemoteError, match="No space left on device") as caught:
            put(connection, big, f"{full}/big")
        assert "df -h" in caught.value.next_command
        assert not (full / "big").exists()


def test_an_upload_that_was_cut_goes_on_where_it_stopped(device: SshDevice, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(bytes(range(256)) * 4096)
    (device.home / "copy.part").write_bytes(local.read_bytes()[:300_000])
    started: list[int] = []
    with open_connection(device.address) as connection:
        put(
            connection,
            local,
            f"{device.home}/copy",
            progress=lambda progress: started.append(progress.done),
        )
        assert started[0] == 300_000
        assert (device.home / "copy").read_bytes() == local.read_bytes()
        (device.home / "other.part").write_bytes(b"something else")
        put(connection, local, f"{device.home}/other")
        assert (device.home / "other").read_bytes() == local.read_bytes()


def test_an_engine_that_did_not_arrive_leaves_the_old_one(device: SshDevice, model: Path) -> None:
    engine = build(device, model)
    before = [path.read_bytes() for path in (engine.path, manifest_path(engine.path))]

    def vanish(progress: Progress) -> None:
        if progress.step == "pull":
            device.stop()

    with pytest.raises(RemoteError):
        build(device, model, progress=vanish, pauses_s=(0.05,), batch="4:4:8")
    assert [path.read_bytes() for path in (engine.path, manifest_path(engine.path))] == before
    assert not list(model.parent.glob("*.tmp*"))


def test_ctrl_c_ends_the_build_on_the_device(device: SshDevice, model: Path) -> None:
    device.has_trtexec("10.3.0", seconds=30.0)

    def interrupt(progress: Progress) -> None:
        if progress.step == "build" and "Tactic" in progress.note:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(device, model, progress=interrupt)
    assert eventually(lambda: not device.running("trtexec.py"))


def test_a_silent_command_with_a_time_limit_is_given_up(device: SshDevice) -> None:
    with open_connection(device.address) as connection:
        began = time.monotonic()
        with pytest.raises(ConnectionError, match="took too long"):
            connection.run("sleep 20", timeout_s=0.5)
        assert time.monotonic() - began < 10


def test_the_exit_code_both_streams_and_the_input_arrive(device: SshDevice, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_bytes(b"from here")
    with open_connection(device.address) as connection, source.open("rb") as feed:
        answer = connection.run("cat; echo oops >&2; exit 7", feed=feed)
    assert (answer.code, answer.out, answer.err) == (7, b"from here", "oops")


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        threading.Event().wait(0.05)
    return holds()


def test_int8_for_the_dla_is_built_from_the_pair_and_only_compared_with_fp32(
    device: SshDevice, model: Path
) -> None:
    images = write_classes(model.parent / "train", dict.fromkeys(contract().ids, 4))
    nx = "jetson-orin-nx-16gb"
    calibrate(model, images=images, effort="fast", target=nx, jetpack="6.2", dla=True)
    tree = device.root / "proc" / "device-tree" / "compatible"
    tree.write_text("nvidia,p3768-0000+p3767-0000\0nvidia,p3767-0000\0nvidia,tegra234\0")
    engine = build(device, model.with_name("model.dla.onnx"), target=nx, dla_core=0)
    manifest = engine.manifest
    assert (manifest.precision, engine.contract.precision) == ("int8", "int8")
    assert manifest.flags == ("INT8", "FP16", "GPU_FALLBACK", "DLA_CORE_0")
    log = engine.path.with_name(f"{engine.path.name}.build.log").read_text()
    assert "--useDLACore=0 --allowGPUFallback --int8 --fp16 --calib=calibration.cache" in log
    assert any("dB against the float model, " in note for note in manifest.notes)
    assert any("calibration cache written for TensorRT 10.3.0" in n for n in manifest.notes)
