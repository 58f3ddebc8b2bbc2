// Which view is shown: the part of the address after # says so, so that a reload comes back to it.

import { call, onReach } from "./lib/api.js"
import { fill } from "./lib/dom.js"
import { showCreate } from "./new/create.js"
import { showJob } from "./job/job.js"
import { showList } from "./list.js"
import { showSignIn } from "./sign_in.js"

const main = document.getElementById("main")
const offline = document.getElementById("offline")
const signOut = document.getElementById("sign-out")
let leave = new AbortController()
let isFirst = true

const ROUTES = [
  [/^#\/jobs\/([^/]+)$/, "job", (page, id) => showJob(page, decodeURIComponent(id))],
  [/^#\/new$/, "new", showCreate],
  [/^(#\/?(\?.*)?)?$/, "list", showList],
]

function route() {
  leave.abort()
  leave = new AbortController()
  const page = { main, signal: leave.signal, title }
  const [found, name, show] = ROUTES.map(([pattern, name, show]) => [location.hash.match(pattern), name, show])
    .find(([found]) => found) ?? [[null], "list", showList]
  for (const link of document.querySelectorAll("[data-page]")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page")
    else link.removeAttribute("aria-current")
  }
  fill(main)
  show(page, ...found.slice(1))
  if (!isFirst) {
    scrollTo(0, 0)
    main.focus({ preventScroll: true })
  }
  isFirst = false
}

/** Offer to sign out, where somebody is signed in. */
async function showSession() {
  try {
    signOut.hidden = !(await call("session")).needs_key
  } catch {
    signOut.hidden = true // the view itself says what is wrong
  }
}

function title(text) {
  document.title = text === null ? "media-agent" : `${text} – media-agent`
}

window.addEventListener("hashchange", route)
window.addEventListener("signed-out", () => {
  leave.abort()
  signOut.hidden = true
  showSignIn({ main, title }, () => {
    showSession()
    route()
  })
})
signOut.addEventListener("click", async () => {
  await call("session", { method: "DELETE" })
  window.dispatchEvent(new Event("signed-out"))
})
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault() // the address belongs to the views
  main.focus()
})
onReach((reached) => {
  offline.hidden = reached
  offline.textContent = reached ? "" : "The server cannot be reached. Trying again…"
})
route()
showSession()
