// Plays a video while it is made: first the growing file as it is, on request (or where the browser
// holds that back) HLS, in which one can seek; the finished file in the end.

import { address, fileOf } from "../lib/api.js"
import { h } from "../lib/dom.js"
import { isOver } from "../lib/words.js"

const PATIENCE = 2500 // ms until the first image of the growing file; a browser holds back its first 32 kB

export function buildPlayer(id, signal) {
  const of = encodeURIComponent(id)
  const file = fileOf(id)
  const playlist = address(`jobs/${of}/live/index.m3u8`)
  const video = h("video", { controls: true, playsinline: true, muted: true, preload: "auto", hidden: true, "aria-label": "The video" })
  video.muted = true // the attribute alone does not count for elements made by a script
  const note = h("p", { class: "hint" })
  const waiting = h("div", { class: "screen" }, h("p", {}, "The first images have not been made yet."))
  const seek = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => useHls() }, "Let me seek")
  const element = h("div", { class: "player" }, waiting, video, h("div", { class: "row" }, note, seek))
  let source = "none" // growing, hls, whole
  let hls = null
  let timer = null
  let mayUseHls = true

  function load(kind, url, { plays = true } = {}) {
    const at = video.currentTime
    const isHeld = video.readyState >= 2 && video.paused && !video.ended // by whoever watches
    const start = () => { if (plays && !isHeld) video.play().catch(() => {}) } // else by the play button
    close()
    source = kind
    waiting.hidden = true
    video.hidden = false
    seek.hidden = kind !== "growing" || !mayUseHls
    note.textContent = NOTES[kind]
    if (url !== null) video.src = url
    video.onloadedmetadata = () => {
      if (at > 0) video.currentTime = at
      if (kind === "hls") start() // its source came later
    }
    if (url !== null) start()
  }

  function useGrowing() {
    load("growing", file)
    if (mayUseHls) timer = setTimeout(() => { if (video.readyState < 2) useHls() }, PATIENCE)
  }

  function leaveHls() {
    mayUseHls = false
    useGrowing()
  }

  async function useHls() {
    if (source === "hls") return
    const { default: Hls } = await import("../vendor/hls.light.min.mjs")
    if (signal.aborted || source === "whole") return
    if (!Hls.isSupported()) {
      if (video.canPlayType("application/vnd.apple.mpegurl") !== "") load("hls", playlist)
      return
    }
    load("hls", null)
    hls = new Hls({ startPosition: Math.max(video.currentTime, 0), enableWorker: false })
    hls.on(Hls.Events.ERROR, (event, { fatal }) => { if (fatal && source === "hls") leaveHls() })
    hls.loadSource(playlist)
    hls.attachMedia(video)
  }

  function close() {
    clearTimeout(timer)
    hls?.destroy()
    hls = null
  }

  video.addEventListener("error", () => { if (source === "growing" && video.error && mayUseHls) useHls() })
  signal.addEventListener("abort", () => {
    close()
    video.removeAttribute("src")
    video.load() // ends the request
  })

  return {
    element,
    /** Show what there is of the job's video now. */
    show(job) {
      const hasFile = job.artifacts.length > 0
      if (isOver(job.status) && hasFile) {
        if (source === "whole") return
        const wasWatched = source !== "none"
        if (!wasWatched) video.preload = "metadata"
        load("whole", file, { plays: wasWatched })
        note.textContent = job.status === "completed" ? "" : "The video ends where the job ended."
      } else if (isOver(job.status)) {
        close()
        element.hidden = source === "none"
      } else if (source === "none" && job.chunks_ready > 0) {
        useGrowing()
      } else if (source === "none") {
        waiting.firstChild.textContent = job.status === "queued" ? "Waiting for its turn." : WAITING
      }
    },
  }
}

const WAITING = "The first images are being made. A model that delivers its video in one piece shows it at the end."
const NOTES = {
  growing: "Playing while it is made.",
  hls: "Playing while it is made; you can seek in what is there.",
  whole: "",
}
