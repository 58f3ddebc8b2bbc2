// One job: its video, what was asked and planned, how far it is, and what can be done with it.

import { facts, fill, h, place } from "../lib/dom.js"
import { follow } from "../lib/follow.js"
import { ago, clock, count, isOver, moment, money, plain, seconds, stateName } from "../lib/words.js"
import { buildActions } from "./actions.js"
import { showChanges } from "../lib/changes.js"
import { badge, bar, problem, promptOf } from "../lib/parts.js"
import { buildPlayer } from "./player.js"
import { buildRecord } from "./record.js"
import { buildSteering } from "./steering.js"

export function showJob({ main, signal, title }, id) {
  title("Video")
  const said = h("div", { "aria-live": "polite" })
  const player = buildPlayer(id, signal)
  const steering = buildSteering(id, signal)
  const actions = buildActions(id, signal, { onChanged: () => following.refresh() })
  const record = buildRecord(id, signal)
  const name = h("h1", { class: "prompt-title" })
  const state = place("p", { class: "line" }, (status, when, model) => [badge(status), h("span", { class: "muted" }, `${model} · ${when}`)])
  const live = place("div", { class: "live" }, showProgress)
  const spoken = h("p", { class: "hidden", role: "status" })
  const trouble = place("div", {}, showTrouble)
  const shots = place("section", { class: "card" }, showShots)
  const details = place("section", { class: "card" }, showFacts)
  const changes = place("section", { class: "card" }, showAdjusted)
  const view = h("div", { class: "job", hidden: true },
    h("div", { class: "wide" }, player.element, h("div", { class: "heading" }, name, state), live, spoken, trouble, steering.element, shots),
    h("div", { class: "side" }, actions.element, details, changes),
    h("div", { class: "below" }, record.element))
  fill(main, h("p", {}, h("a", { href: "#/" }, "All videos")), said, view)

  function show(job) {
    fill(said)
    view.hidden = false
    const asked = job.request
    name.textContent = shortened(promptOf(asked))
    title(shortened(promptOf(asked), 60))
    state.show(job.status, ago(job.created_at), `${job.plan.backend}/${job.plan.model}`)
    live.show(isOver(job.status), job.progress, job.phase, job.chunks_ready, job.frames_ready, job.plan.request.fps ?? null)
    speak(job)
    trouble.show(job.status, job.error, job.warnings)
    shots.show(asked, job.plan.request)
    details.show(listFacts(job))
    changes.show(job.plan.adjustments, job.plan.warnings)
    player.show(job)
    steering.show(job)
    actions.show(job)
    record.show(job)
  }

  let lastSpoken = ""
  function speak(job) { // for those who hear the page: the state, and every tenth of the way
    const tenth = job.progress === null || isOver(job.status) ? "" : `, ${Math.floor(job.progress * 10) * 10} %`
    const now = stateName(job.status) + tenth
    if (now !== lastSpoken) spoken.textContent = lastSpoken = now
  }

  const following = follow(id, {
    signal,
    onJob: show,
    onEvent: (type, event) => steering.hear(type, event),
    onError: (error) => {
      if (error.status !== 401) fill(said, problem(error))
    },
  })
}

const HEADING = 160 // letters

const isShort = (text) => Array.from(text.trim()).length <= HEADING

function shortened(text, most = HEADING) {
  const letters = Array.from(text.trim())
  return letters.length <= most ? letters.join("") : `${letters.slice(0, most).join("").trimEnd()}…`
}

/** Return how long a planned video is, in seconds; null: open. */
const lengthOf = (sent) => sent.duration ?? (sent.num_frames && sent.fps ? sent.num_frames / sent.fps : null)

function showProgress(over, progress, phase, chunks, frames, fps) {
  if (over) return []
  const made = chunks > 0
    ? count(chunks, "chunk") + (fps ? `, ${clock(frames / fps)} of video` : "")
    : null
  const percent = progress === null ? null : `${Math.floor(progress * 100)} %`
  return [bar(progress, "Progress"), h("p", { class: "meta" },
    ...[percent, phase, made].filter(Boolean).map((each) => h("span", {}, each)))]
}

function showTrouble(status, error, warnings) {
  const title = { failed: "It failed", outcome_unknown: "It is not known what became of it", cancelled: "It was stopped" }[status] ?? null
  return [
    error === null || error === undefined ? null : problem(error, title),
    status === "outcome_unknown" && !error?.hint ? h("p", { class: "notice" }, "The work may have been accepted and may cost something. It is never sent again by itself.") : null,
    ...warnings.map((each) => h("p", { class: "notice" }, each)),
  ]
}

function showShots(asked, sent) {
  const board = asked.shots.length > 0 || asked.prompt === null ? asked.shots : [{ prompt: asked.prompt, duration: lengthOf(sent) }]
  const used = sent.shots.length > 0 || sent.prompt === null ? sent.shots : [{ prompt: sent.prompt, duration: lengthOf(sent) }]
  let from = 0
  const rows = board.map((shot, index) => {
    const sentShot = used.length === board.length ? used[index] : null
    const length = sentShot?.duration ?? shot.duration ?? null
    const start = from
    from = length === null || from === null ? null : from + length
    return h("li", {},
      h("span", { class: "time" }, start === null ? "" : clock(start) + (length === null ? " on" : `–${clock(from)}`)),
      h("div", {}, h("p", { class: "prompt" }, shot.prompt),
        sentShot !== null && sentShot.prompt !== shot.prompt && sentShot.prompt !== null
          ? h("p", { class: "hint" }, `Sent as: ${sentShot.prompt}`) : null))
  })
  const isTold = rows.length === 1 && used[0]?.prompt === board[0].prompt && isShort(board[0].prompt) && !asked.negative_prompt
  if (rows.length === 0 || isTold) return [] // the heading has it all
  return [h("h2", {}, rows.length === 1 ? "Prompt" : "Storyboard"), h("ol", { class: "shots" }, ...rows),
    asked.negative_prompt ? h("p", { class: "hint" }, `Not: ${asked.negative_prompt}`) : null]
}

function listFacts({ id, status, plan, quote_usd, cost_usd, cost_source, created_at, artifacts, label, caller, chunks_ready }) {
  const sent = plan.request
  const accepted = cost_source !== null
  return [
    ["Price, planned", money(quote_usd)],
    [isOver(status) ? "Cost" : "Cost so far", accepted ? `${money(cost_usd)}${cost_source === "quote" ? " (as quoted)" : ""}` : null],
    ["Length", sent.endless ? "endless" : seconds(lengthOf(sent))],
    ["Size", sent.size ? plain(sent.size) : sent.resolution ?? sent.aspect_ratio],
    ["Frames per second", sent.fps],
    ["Seed", sent.seed],
    ["Made in", plan.segments.length > 1 ? `${plan.segments.reduce((sum, each) => sum + each.count, 0)} segments` : null],
    ["Chunks", isOver(status) && chunks_ready > 0 ? chunks_ready : null],
    ["Files", artifacts.length > 1 ? artifacts.length : null],
    ["Started", moment(created_at)],
    ["Label", label],
    ["Asked by", caller === "local" ? null : caller],
    ["Job", id],
  ]
}

function showFacts(rows) {
  return [h("h2", {}, "Facts"), facts(rows)]
}

function showAdjusted(adjustments, warnings) {
  if (adjustments.length === 0 && warnings.length === 0) return []
  const hasChanges = adjustments.some((each) => each.asked !== null) || warnings.length > 0
  return [h("h2", {}, hasChanges ? "What was adjusted" : "As you asked"), showChanges(adjustments, null),
    ...warnings.map((each) => h("p", { class: "notice" }, each))]
}
