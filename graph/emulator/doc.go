// Package emulator is an in-memory stand-in for Microsoft Graph's Backup
// Storage API, the resources under /v1.0/solutions/backupRestore.
//
// An [Emulator] is an [http.Handler]. It holds tenants with a computed
// directory of users, sites and groups, runs the service's state machines on a
// clock of its own, answers the documented errors when their cause arises, and
// plays scripted faults. It shares no code with the rest of this module: it is
// a second reading of the documentation, so a property that one side misspells
// fails against the other.
//
// # Rooms
//
// The files of a room begin with its word:
//
//	http_       a request on its way: token, path, query, body, error, page
//	control_    what is not Graph's: control calls, clock, ledger, seeds
//	fault_      fault rules and what they do to a request
//	tenant_     one tenant: its steps to come, and what it keeps for restores
//	directory_  users, sites, groups, mail and files, all computed, and ids
//	service_    the service itself, service apps, mail settings
//	policy_     protection policies
//	unit_       protection units: states, offboarding, bulk addition jobs
//	rule_       inclusion rules
//	point_      restore points and their search
//	browse_     browse sessions
//	restore_    restore sessions, artifacts, bulk addition requests
//	token_      the token authority, and the check of tokens
//	scenario_   tenants with a story
//
// The package in internal/expression reads the languages of filters and rules, the one in internal/tokens makes tokens.
//
// # Time
//
// Nothing sleeps and nothing runs in the background. An asynchronous step is a
// note "at this moment, do that", and every request first plays the notes whose
// moment has passed. The default lengths, in emulated time:
//
//	protectRequested   -> protected, or unprotected with an error   5 min
//	unprotectRequested -> unprotected                               2 min
//	removeRequested    -> unprotected, out of the policy            2 min
//	turning a policy without units on, off                          5 min, 2 min
//	first GET /protectionPolicies -> data store ready               5 min
//	a rule's active, updateRequested, deleteRequested               1 min
//	between two evaluations of a dynamic rule                       1 h
//	a bulk addition job's active                                    2 min
//	cancelOffboardRequested -> unprotected                          2 min
//
// The clock runs [DefaultSpeed] times as fast as real time.
//
// # Restores
//
// Restore points, mail and files are computed too. [RestoreLengths] are the
// lengths of restores; [Emulator.AddMessage] and [Emulator.AddFile], or POST to
// /_emulator/mail and /_emulator/files, add what a restore can bring back.
//
// # Tokens
//
// [Options.RequireToken] asks for tokens as Microsoft Graph does. The token authority hands them out to the
// credentials of Microsoft's SDKs, below /{tenant}/oauth2/v2.0; [Emulator.Token] makes one without a credential.
//
// # Tenants
//
// Tests that run at once take a tenant each: [Emulator.ResetTenant], [Emulator.TenantClock], [Fault].Tenant and
// [LedgerQuery].Tenant are about one alone. [TenantDemo] is a company with a month of backups.
//
// # Control
//
// Everything under /_emulator/ belongs to the emulator itself: reset, seed,
// clock, groups, faults and ledger. It asks for no credential, so serve an
// Emulator on loopback only.
package emulator
