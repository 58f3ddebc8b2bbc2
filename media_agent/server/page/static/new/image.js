// The image that a video starts from.

import { field, fill, h } from "../lib/dom.js"

export function buildImage(changed, signal) {
  const input = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp" })
  const shown = h("div", { class: "row" })
  const said = h("div", { "aria-live": "polite" })
  let medium = null
  let preview = null

  async function take() {
    drop()
    const [file] = input.files
    if (file) {
      preview = URL.createObjectURL(file)
      fill(shown, h("img", { class: "preview", alt: "The chosen image", src: preview }),
        h("button", { type: "button", class: "quiet", onclick: () => { input.value = ""; drop(); changed(); input.focus() } }, "Remove the image"))
      medium = { role: "first_frame", data: await encode(file), mime_type: file.type }
    }
    changed()
  }

  function drop() {
    medium = null
    if (preview !== null) URL.revokeObjectURL(preview)
    preview = null
    fill(shown)
    fill(said)
  }

  input.addEventListener("change", take)
  signal.addEventListener("abort", drop)
  return {
    element: h("div", {}, field("First image, if you have one", input), shown, said),
    read: () => (medium === null ? {} : { inputs: [medium] }),
  }
}

async function encode(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader()
    reader.onload = () => resolve(reader.result)
    reader.onerror = () => reject(reader.error)
    reader.readAsDataURL(file)
  })
  return url.slice(url.indexOf(",") + 1)
}
