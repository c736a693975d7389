// Package trial has what programs share that try the built server: processes, their memory and processor time, Redis
// with Sentinels, and the emulator's own API with its ledger, which says what was done.
package trial
