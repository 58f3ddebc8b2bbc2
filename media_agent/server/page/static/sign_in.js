// The server wants an API key: it becomes a cookie that no script can read.

import { call } from "./lib/api.js"
import { field, fill, h } from "./lib/dom.js"
import { busy } from "./lib/parts.js"

export function showSignIn({ main, title }, onDone) {
  title("Sign in")
  const key = h("input", { type: "password", autocomplete: "current-password", required: true, spellcheck: "false" })
  const said = h("div", { "aria-live": "polite" })
  const button = h("button", { class: "primary" }, "Sign in")
  const form = h("form", { class: "card narrow" },
    h("h1", {}, "Sign in"),
    h("p", { class: "muted" }, "This server asks for an API key."),
    field("API key", key, "On the machine of the server, media-agent server-keys add NAME makes one."),
    said, button)
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    busy(button, async () => {
      await call("session", { method: "POST", headers: { Authorization: `Bearer ${key.value.trim()}` } })
      onDone()
    }, said)
  })
  fill(main, form)
  key.focus()
}
