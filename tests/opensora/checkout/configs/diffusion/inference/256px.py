save_dir = "samples"
seed = 42
batch_size = 1
dtype = "bf16"
cond_type = "t2v"  # t2v, i2v_head, i2v_tail, i2v_loop, v2v_head_half, v2v_tail_half
dataset = dict(type="text")
sampling_option = dict(
    resolution="256px",
    aspect_ratio="16:9",
    num_frames=129,
    num_steps=50,
    guidance=7.5,
    guidance_img=3.0,
    seed=None,
)
motion_score = "4"
fps_save = 24
model = dict(type="flux", from_pretrained="./ckpts/Open_Sora_v2.safetensors")
ae = dict(type="hunyuan_vae", from_pretrained="./ckpts/hunyuan_vae.safetensors")
t5 = dict(type="text_embedder", from_pretrained="./ckpts/google/t5-v1_1-xxl", max_length=512)
clip = {"type": "text_embedder", "from_pretrained": "./ckpts/openai/clip-vit-large-patch14"}
