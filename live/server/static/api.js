// Commands to the server. Every POST answers with the new state; every failure becomes an ApiError with a hint.

export class ApiError extends Error {
  constructor(message, hint = "", editor = false, gone = false) {
    super(message);
    this.hint = hint;
    this.editor = editor; // whether the landmark editor helps
    this.gone = gone; // the server does not know what the address names, or not any more
  }
}

export const SILENT = "The server does not answer.";
const GONE = [SILENT, "Start `faceshot live` again."];

export async function get(path) {
  return request(path, {});
}

export async function post(path, body) {
  return request(path, { method: "POST", body: body === undefined ? undefined : JSON.stringify(body) });
}

async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError(...GONE);
  }
  return answer(response.status, await response.text());
}

function answer(status, text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiError("The server gave an answer that this page does not understand.", "Reload the page.");
  }
  if (status >= 400) throw new ApiError(value.error ?? "The server refused.", value.hint, value.editor, status === 404);
  return value;
}

// fetch() cannot tell how much of a body has gone; XMLHttpRequest can. `onProgress` gets 0 to 1.
export function upload(file, onProgress, path = "/api/picture") {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", `${path}?filename=${encodeURIComponent(file.name)}`);
    xhr.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    xhr.onerror = () => reject(new ApiError(...GONE));
    xhr.onload = () => {
      try {
        resolve(answer(xhr.status, xhr.responseText));
      } catch (error) {
        reject(error);
      }
    };
    xhr.send(file);
  });
}
