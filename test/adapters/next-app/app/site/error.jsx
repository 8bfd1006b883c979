"use client";

export default function Failed() {
  return <p>the error page</p>;
}
