// All jobs, newest first.

import { address, call, OfflineError } from "./lib/api.js"
import { fill, h, place } from "./lib/dom.js"
import { follow } from "./lib/follow.js"
import { ago, count, isOver, money, seconds, STATES } from "./lib/words.js"
import { badge, bar, problem } from "./lib/parts.js"

const EVERY = 4000 // ms between two looks at the list
const PAGE = 24
const FOLLOWED = 3 // a browser opens only six connections to one server

export function showList({ main, signal, title }) {
  title(null)
  const wanted = new URLSearchParams(location.hash.split("?")[1] ?? "")
  const filter = wanted.get("status") ?? ""
  const rows = new Map()
  let pages = 1
  let timer = null

  const said = h("div", { "aria-live": "polite" })
  const list = h("ul", { class: "jobs" })
  const more = h("button", { type: "button", hidden: true, onclick: () => { pages += 1; look() } }, "Show more")
  const empty = place("div", { class: "empty" }, (kind) => (kind === null ? [] : EMPTY[kind]()))
  fill(main,
    h("div", { class: "head" }, h("h1", {}, "Videos"), filters(filter)),
    said, empty, list, h("div", { class: "row center" }, more))

  async function look() {
    clearTimeout(timer)
    try {
      const { jobs, hasMore } = await read(filter, pages, signal)
      fill(said)
      show(jobs)
      more.hidden = !hasMore
      empty.show(jobs.length > 0 ? null : filter === "" ? "first" : "filtered")
    } catch (error) {
      if (signal.aborted || error.status === 401) return
      if (!(error instanceof OfflineError)) fill(said, problem(error))
    }
    if (!signal.aborted) timer = setTimeout(() => (document.hidden ? wait() : look()), EVERY)
  }

  function wait() {
    document.addEventListener("visibilitychange", look, { once: true, signal })
  }

  function show(jobs) {
    const listed = new Set(jobs.map((job) => job.id))
    for (const [id, row] of rows) {
      if (!listed.has(id)) {
        row.stop()
        row.element.remove()
        rows.delete(id)
      }
    }
    jobs.forEach((job, index) => {
      if (!rows.has(job.id)) rows.set(job.id, buildRow(signal))
      const row = rows.get(job.id)
      row.show(job)
      if (list.children[index] !== row.element) list.insertBefore(row.element, list.children[index] ?? null)
    })
    const running = jobs.filter((job) => !isOver(job.status)).map((job) => job.id)
    for (const [id, row] of rows) row.setFollowed(running.indexOf(id) >= 0 && running.indexOf(id) < FOLLOWED, id)
  }

  signal.addEventListener("abort", () => clearTimeout(timer))
  look()
}

async function read(status, pages, signal) {
  const jobs = []
  let hasMore = true
  for (let page = 0; page < pages && hasMore; page += 1) {
    const query = new URLSearchParams({ limit: PAGE })
    if (status !== "") query.set("status", status)
    if (jobs.length > 0) query.set("after", jobs.at(-1).id)
    const reply = await call(`jobs?${query}`, { signal })
    jobs.push(...reply.data)
    hasMore = reply.has_more
  }
  return { jobs, hasMore }
}

function filters(chosen) {
  const link = (status, label) =>
    h("a", { href: status === "" ? "#/" : `#/?status=${status}`, "aria-current": status === chosen ? "true" : null }, label)
  return h("nav", { class: "filters", "aria-label": "By state" },
    link("", "All"), ...Object.entries(STATES).map(([status, label]) => link(status, label)))
}

const EMPTY = {
  first: () => [
    h("h2", {}, "No videos yet"),
    h("p", {}, "Describe what you want to see. Before anything starts you are shown which model would make it, what it costs, and what would differ from your wish."),
    h("p", {}, h("a", { class: "button primary", href: "#/new" }, "Make the first video")),
    h("p", { class: "muted" }, "Videos made with the command line or the API appear here as well:"),
    h("pre", {}, 'media-agent generate "a red circle moving right" --duration 8'),
  ],
  filtered: () => [h("p", {}, "No video is in this state. "), h("p", {}, h("a", { href: "#/" }, "Show all"))],
}

function buildRow(signal) {
  const thumbnail = place("div", { class: "thumb", "aria-hidden": "true" }, (id, hasVideo) => (hasVideo ? [poster(id)] : []))
  const text = place("div", { class: "what" }, describe)
  const live = place("div", { class: "live" }, (running, progress, phase) =>
    running ? [bar(progress, "Progress"), h("span", { class: "muted" }, tell(progress, phase))] : [])
  const element = h("li", {}, thumbnail, h("div", { class: "body" }, text, live))
  let stop = null

  function showLive(job) {
    live.show(!isOver(job.status), job.progress ?? null, job.phase ?? null)
  }

  return {
    element,
    show(job) {
      thumbnail.show(job.id, isOver(job.status) && job.uri !== null)
      thumbnail.hidden = false // an empty frame keeps the rows in line
      text.show(job, ago(job.created_at))
      if (stop === null) showLive(job)
    },
    setFollowed(followed, id) {
      if (followed && stop === null) {
        stop = new AbortController()
        signal.addEventListener("abort", () => stop?.abort())
        follow(id, { onJob: showLive, onError: () => {}, signal: stop.signal })
      } else if (!followed) {
        this.stop()
      }
    },
    stop() {
      stop?.abort()
      stop = null
    },
  }
}

function poster(id) {
  const image = h("img", { alt: "", loading: "lazy", src: address(`videos/${encodeURIComponent(id)}/content?variant=thumbnail`) })
  image.addEventListener("error", () => image.remove())
  return image
}

function describe(job, when) {
  const cost = job.cost_source === null && !isOver(job.status) ? job.quote_usd : job.cost_usd
  const told = [`${job.backend}/${job.model}`, seconds(job.seconds), money(cost) === "unknown" ? "price unknown" : money(cost),
    job.segments > 1 ? count(job.segments, "segment") : null, job.label, when]
  return [
    h("div", { class: "line" }, h("a", { class: "title", href: `#/jobs/${encodeURIComponent(job.id)}` }, job.title || "Without a prompt"), badge(job.status)),
    h("p", { class: "meta" }, ...told.filter(Boolean).map((each) => h("span", {}, each))),
  ]
}

function tell(progress, phase) {
  const percent = progress === null ? null : `${Math.floor(progress * 100)} %`
  return [percent, phase].filter(Boolean).join(" · ")
}
