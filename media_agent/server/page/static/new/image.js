// The image that a video starts from.

import { call } from "../lib/api.js"
import { field, fill, h } from "../lib/dom.js"
import { problem } from "../lib/parts.js"

const KEPT = { "expires_after[anchor]": "created_at", "expires_after[seconds]": 86_400 } // a video has a copy of its own

export function buildImage(changed, signal) {
  const input = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp" })
  const shown = h("div", { class: "row" })
  const said = h("div", { "aria-live": "polite" })
  let medium = null
  let preview = null
  let sending = null

  async function take() {
    drop()
    const [file] = input.files
    if (file) {
      preview = URL.createObjectURL(file)
      fill(shown, h("img", { class: "preview", alt: "The chosen image", src: preview }),
        h("button", { type: "button", class: "quiet", onclick: () => { input.value = ""; drop(); changed(); input.focus() } }, "Remove the image"))
      await send(file)
    }
    changed()
  }

  async function send(file) {
    const form = new FormData()
    for (const [name, value] of Object.entries({ purpose: "vision", ...KEPT })) form.append(name, value)
    form.append("file", file)
    const mine = (sending = new AbortController())
    try {
      const { id } = await call("files", { method: "POST", form, signal: mine.signal })
      medium = { role: "first_frame", file_id: id }
    } catch (error) {
      if (error.name !== "AbortError") fill(said, problem(error))
    }
  }

  function drop() {
    sending?.abort()
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
    isReady: () => input.files.length === 0 || medium !== null,
    read: () => (medium === null ? {} : { inputs: [medium] }),
  }
}
