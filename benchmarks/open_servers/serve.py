"""Starts the released routes of one server over an engine that has no model.

python serve.py NAME PORT PACKAGES FOLDER; PACKAGES is the folder where its wheel was unpacked.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypedDict

from engine import Engine
from stand_ins import StandIns

MODEL = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"


def sglang(packages: Path, folder: Path) -> Any:
    """Return SGLang-Diffusion's application, its scheduler replaced."""
    base = "sglang.multimodal_gen"
    openai = f"{base}.runtime.entrypoints.openai"
    real = {
        *(f"{openai}.{name}" for name in ("video_api", "common_api", "protocol", "stores")),
        *(f"{openai}.{name}" for name in ("utils", "storage", "video_progress")),
        f"{openai}.prompt_enhancement",
        *(f"{base}.configs.sample.{name}" for name in ("sampling_params", "wan", "teacache")),
        *(f"{base}.configs.{name}" for name in ("task_type", "utils")),
        *(f"{base}.runtime.utils.{name}" for name in ("common", "image_io", "trace_wrapper")),
        f"{base}.runtime.entrypoints.control_requests",
    }
    stand_ins = StandIns(packages, "sglang", real, ("zmq", "msgspec", "psutil"))
    stand_ins.install()
    from sglang.multimodal_gen.configs.task_type import ModelTaskType

    # The frames are taken as asked; a real pipeline may round them to what its model makes.
    pipeline = SimpleNamespace(
        task_type=ModelTaskType.TI2V,
        resolve_task_type=lambda *_, **__: ModelTaskType.TI2V,
        get_supported_task_types=lambda: (ModelTaskType.TI2V,),
        adjust_num_frames=lambda frames: frames,
        allow_set_num_frames=lambda: True,
        supports_sequence_shard=lambda *_: False,
        enable_sequence_shard=False,
        vae_config=None,
        dit_precision="bf16",
        vae_precision="fp32",
    )
    args = SimpleNamespace(
        model_path=MODEL,
        served_model_name=MODEL,
        model_id=None,
        backend=None,
        pipeline_class_name=None,
        pipeline_config=pipeline,
        output_path=str(folder / "videos"),
        input_save_path=str(folder / "images"),
        num_gpus=1,
        comfyui_mode=False,
        batching_max_size=1,
        attention_backend_config=None,
        enable_trace=False,
    )
    engine, scheduler = Engine(folder), SimpleNamespace()

    class Batch(SimpleNamespace):
        """A request on its way to the scheduler: the sampling parameters and what is added."""

        def __getattr__(self, name: str) -> Any:
            return getattr(self.sampling_params, name, None)

    def prepare(server_args: object, sampling_params: Any, **_: object) -> Batch:
        trace = SimpleNamespace(trace_req_finish=lambda *_, **__: None)
        return Batch(sampling_params=sampling_params, extra={}, trace_ctx=trace)

    stand_ins.give(f"{base}.runtime.server_args", get_global_server_args=lambda: args)
    stand_ins.give(
        f"{base}.runtime.scheduler_client",
        async_scheduler_client=scheduler,
        AsyncSchedulerClient=SimpleNamespace,
    )
    stand_ins.give(f"{base}.runtime.entrypoints.utils", prepare_request=prepare)
    stand_ins.give(
        f"{base}.registry",
        get_model_info=lambda *_, **__: SimpleNamespace(
            sampling_param_cls=_wan_parameters(), pipeline_cls=None
        ),
    )
    from fastapi import FastAPI
    from sglang.multimodal_gen.runtime.entrypoints.openai import (
        common_api,
        video_api,
        video_progress,
    )

    async def forward(batches: list[Batch]) -> SimpleNamespace:
        batch, loop = batches[0], asyncio.get_running_loop()

        def report(step: int, steps: int) -> None:
            told = video_progress.VIDEO_PROGRESS.update(batch.request_id, step, steps)
            if told is not None:
                asyncio.run_coroutine_threadsafe(video_progress.apply_progress(*told), loop)

        names = ("negative_prompt", "seed", "width", "height", "num_frames", "fps")
        more = ("num_inference_steps", "guidance_scale", "image_path")
        asked = {name: getattr(batch, name) for name in (*names, *more)}
        blank = dict.fromkeys(("output", "raw_frame_batches", "metrics", "usage", "action_pred"))
        result = SimpleNamespace(**blank, lidar=None, peak_memory_mb=1.0, error=None)
        try:
            video = await asyncio.to_thread(engine.generate, batch.prompt, report=report, **asked)
        except RuntimeError as error:
            result.error = str(error)
            return result
        path = Path(batch.output_file_path())
        await asyncio.to_thread(path.write_bytes, video)
        result.output_file_paths = [str(path)]
        return result

    scheduler.forward = forward
    app = FastAPI()
    app.include_router(common_api.router)
    app.include_router(video_api.router)
    return app


def _wan_parameters() -> Any:
    from sglang.multimodal_gen.configs.sample.wan import WanT2V_1_3B_SamplingParams

    return WanT2V_1_3B_SamplingParams


def vllm_omni(packages: Path, folder: Path) -> Any:
    """Return vLLM-Omni's routes in a plain application, as vLLM's own is not installed."""
    base = "vllm_omni.entrypoints.openai"
    real = {
        *(f"{base}.{name}" for name in ("api_server", "protocol.videos", "serving_video")),
        *(f"{base}.{name}" for name in ("video.generation.helpers", "video_api_utils", "utils")),
        *(f"{base}.{name}" for name in ("storage", "stores", "stage_params", "image_api_utils")),
        "vllm_omni.inputs.data",
        "vllm_omni.errors",
        "vllm_omni.diffusion.utils.media_utils",
        "vllm_omni.config.server_settings",
    }
    stand_ins = StandIns(packages, "vllm_omni", real, ("vllm", "uvloop", "pybase64", "cv2"))
    started = "started"
    prompts = ("EmbedsPrompt", "PromptType", "TextPrompt", "TokensPrompt")
    stand_ins.give("vllm.inputs", **{name: TypedDict(name, {"prompt": str}) for name in prompts})
    stand_ins.give("vllm.envs", VLLM_MAX_IMAGE_PIXELS=0)  # no limit
    stand_ins.give("vllm.inputs.engine", TokensInput=TypedDict("TokensInput", {"prompt": str}))
    stand_ins.give(
        "vllm_omni.diffusion.data",
        is_diffusion_request_started_output=lambda output: output == started,
    )
    stand_ins.give("vllm_omni.entrypoints.async_omni", ABORT_TIMEOUT_S=5.0)
    stand_ins.give(f"{base}.errors", InvalidInputReferenceError=type("Bad", (ValueError,), {}))
    stand_ins.give(f"{base}.app_state", Omnivideo=lambda raw: raw.app.state.openai_serving_video)
    stand_ins.give(
        "vllm_omni.model_extras",
        get_video_generation_defaults=lambda *_: None,
        should_preserve_reference_image_size=lambda *_, **__: False,
    )
    stand_ins.give("vllm_omni.diffusion.model_metadata", get_diffusion_model_metadata=_no_metadata)
    stand_ins.install()
    os.environ["VLLM_OMNI_SERVER_STORAGE__PATH"] = str(folder / "videos")
    from fastapi import FastAPI
    from vllm_omni.entrypoints.openai import api_server
    from vllm_omni.entrypoints.openai.serving_video import OmniOpenAIServingVideo

    engine = Engine(folder)

    class Client:
        """What the routes know of the engine."""

        def __init__(self) -> None:
            self.aborted: set[str] = set()

        async def generate(self, prompt: Any, request_id: str, sampling_params_list: Any) -> Any:
            yield started
            params = sampling_params_list[0]
            names = ("seed", "width", "height", "num_frames", "fps", "num_inference_steps")
            asked = {name: getattr(params, name, None) for name in (*names, "guidance_scale")}
            asked["fps"] = asked["fps"] or 24
            image = prompt.get("multi_modal_data", {}).get("image")
            video = await asyncio.to_thread(
                engine.generate,
                prompt["prompt"],
                negative_prompt=prompt.get("negative_prompt"),
                image=None if image is None else f"{image.width}x{image.height}",
                extra_args=params.extra_args,
                **asked,
            )
            yield SimpleNamespace(images=[video], multimodal_output={}, stage_durations={})

        async def abort(self, request_id: str, **_: Any) -> None:
            self.aborted.add(request_id)

    stage = {"stage_type": "diffusion", "final_output": True, "final_output_type": "video"}
    app = FastAPI()
    app.include_router(api_server.router)
    app.state.api_server_count = 1
    app.state.stage_configs = [stage]
    app.state.openai_serving_video = OmniOpenAIServingVideo.for_diffusion(
        Client(), MODEL, stage_configs=[stage]
    )
    listed = SimpleNamespace(
        model_dump=lambda: {"object": "list", "data": [{"id": MODEL, "object": "model"}]}
    )

    async def show() -> Any:
        return listed

    app.state.openai_serving_models = SimpleNamespace(
        show_available_models=show, base_model_paths=[SimpleNamespace(name=MODEL)]
    )
    return app


def _no_metadata(*_: object) -> SimpleNamespace:
    return SimpleNamespace(
        supports_mixed_reference_inputs=False,
        supports_latent_mask_editing=False,
        supported_control_upload_types=frozenset(),
    )


def fastvideo(packages: Path, folder: Path) -> Any:
    """Return FastVideo's application, its generator replaced."""
    base = "fastvideo.entrypoints.openai"
    names = ("api_server", "video_api", "image_api", "common_api")
    more = ("protocol", "stores", "state", "utils")
    real = {f"{base}.{name}" for name in (*names, *more)}
    stand_ins = StandIns(packages, "fastvideo", real, ())
    engine = Engine(folder)

    class Generator:
        """Has the one method that the routes call."""

        @classmethod
        def from_fastvideo_args(cls, _: object) -> "Generator":
            return cls()

        def generate_video(self, *, prompt: str, output_path: str, **asked: Any) -> dict[str, Any]:
            size = {"width": asked.pop("width", 832), "height": asked.pop("height", 480)}
            Path(output_path).write_bytes(engine.generate(prompt, **size, **asked))
            return {"generation_time": 1.0, "peak_memory_mb": 1.0}

        def shutdown(self) -> None:
            pass

    stand_ins.give("fastvideo.entrypoints.video_generator", VideoGenerator=Generator)
    stand_ins.give("fastvideo.api.compat", explicit_request_updates=lambda _: {})
    stand_ins.install()
    from fastvideo.entrypoints.openai.api_server import create_app

    return create_app(SimpleNamespace(model_path=MODEL), output_dir=str(folder / "videos"))


SERVERS: dict[str, Callable[[Path, Path], Any]] = {
    "sglang": sglang,
    "vllm-omni": vllm_omni,
    "fastvideo": fastvideo,
}


def main() -> None:
    """Serve until killed."""
    name, port, packages, folder = sys.argv[1:]
    app = SERVERS[name](Path(packages), Path(folder))
    import uvicorn

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", loop="asyncio")


if __name__ == "__main__":
    main()
