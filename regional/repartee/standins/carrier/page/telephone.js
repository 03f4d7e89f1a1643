// A telephone in a browser: mu-law both ways over one WebSocket, and a keypad.
const RATE_HZ = 8000;
const KEYS = "123456789*0#";
const OWN_NUMBER = `+1555${String(Math.floor(Math.random() * 1e7)).padStart(7, "0")}`;
const STATES = {
  ringing: "Ringing …",
  answered: "Connected.",
  joined: "Connected to somebody else.",
  ended: "The call is over.",
};

const $ = (id) => document.getElementById(id);
let socket, audio, up = false, heardMs = 0;

// ITU-T G.711
function encode(sample) {
  let pcm = Math.max(-32635, Math.min(32635, Math.round(sample * 32767)));
  const sign = pcm < 0 ? 0x80 : 0;
  pcm = Math.abs(pcm) + 132;
  let exponent = 7;
  for (let mask = 0x4000; exponent > 0 && !(pcm & mask); mask >>= 1) exponent--;
  return ~(sign | (exponent << 4) | ((pcm >> (exponent + 3)) & 0x0f)) & 0xff;
}

function decode(byte) {
  const value = ~byte & 0xff;
  const pcm = ((((value & 0x0f) << 3) + 132) << ((value >> 4) & 7)) - 132;
  return (value & 0x80 ? -pcm : pcm) / 32768;
}

async function openAudio() {
  const context = new AudioContext({ sampleRate: RATE_HZ });
  await context.audioWorklet.addModule("page/telephone-worklet.js");
  const node = new AudioWorkletNode(context, "telephone");
  node.connect(context.destination);
  try {
    const echoCancellation = true;
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation } });
    context.createMediaStreamSource(stream).connect(node);
  } catch {
    $("state").textContent = "Without a microphone you can listen and press keys.";
  }
  node.port.onmessage = ({ data }) => {
    if (up && socket.readyState === WebSocket.OPEN) socket.send(Uint8Array.from(data, encode));
  };
  return node;
}

function say(wish) {
  socket.send(JSON.stringify(wish));
}

function hear(event) {
  if (event.data instanceof ArrayBuffer) {
    const samples = Float32Array.from(new Uint8Array(event.data), decode);
    audio.port.postMessage(samples);
    if (samples.some((sample) => Math.abs(sample) > 0.005)) heardMs += 20;
    $("heard").textContent = (heardMs / 1000).toFixed(1);
    return;
  }
  const said = JSON.parse(event.data);
  if (said.event in STATES) $("state").textContent = said.why ?? STATES[said.event];
  if (said.event === "ended") settle(false);
}

function settle(now) {
  up = now;
  $("call").disabled = now;
  $("hang-up").disabled = !now;
}

async function call() {
  settle(true);
  heardMs = 0;
  audio ??= await openAudio();
  if (socket?.readyState !== WebSocket.OPEN) {
    const here = new URL(`handset?number=${encodeURIComponent(OWN_NUMBER)}`, location.href);
    here.protocol = here.protocol.replace("http", "ws");
    socket = new WebSocket(here);
    socket.binaryType = "arraybuffer";
    socket.onmessage = hear;
    socket.onclose = () => {
      $("state").textContent = "The network is gone.";
      settle(false);
    };
    await new Promise((opened) => (socket.onopen = opened));
  }
  say({ dial: $("number").value.replaceAll(/[ ()-]/g, "") });
}

function press(key) {
  if (up) say({ key });
  else $("number").value += key;
}

for (const key of KEYS) {
  const button = document.createElement("button");
  button.textContent = key;
  button.addEventListener("click", () => press(key));
  $("keypad").append(button);
}
$("call").addEventListener("click", call);
$("hang-up").addEventListener("click", () => say({ hang_up: true }));

const { numbers } = await (await fetch("numbers")).json();
$("number").value = numbers[0]?.number ?? "";
$("numbers").textContent = numbers.map(({ number, carrier }) => `${number} (${carrier})`).join(" · ");
