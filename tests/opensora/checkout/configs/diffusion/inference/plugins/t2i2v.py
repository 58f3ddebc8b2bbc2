use_t2i2v = True
offload_model = False
img_flux = dict(type="flux", from_pretrained="./ckpts/flux1-dev.safetensors")
img_flux_ae = dict(type="autoencoder_2d", from_pretrained="./ckpts/flux1-dev-ae.safetensors")
