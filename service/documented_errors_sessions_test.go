package service_test

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
)

const (
	sessions   = "RestoreSessionService/"
	toNew      = pb.DestinationType_DESTINATION_TYPE_NEW
	toInPlace  = pb.DestinationType_DESTINATION_TYPE_IN_PLACE
	toNowhere  = pb.DestinationType_DESTINATION_TYPE_UNSPECIFIED
	mostActive = 25
)

// sessionErrors are those of restore sessions.
var sessionErrors = map[string]producer{
	"Create restore session/InvalidPathType": func(w *world, l workload) produced {
		return l.createFails(w, artifact(l.newest(w, 1), toNowhere))
	},
	"Create restore session/InvalidArtifactRequest": func(w *world, l workload) produced { return l.createFails(w) },
	"Create restore session/InvalidRestorePoint": func(w *world, l workload) produced {
		return l.createFails(w, artifact("none", toNew))
	},
	"Create restore session/DifferentRestoreDestinationType": func(w *world, l workload) produced {
		return l.createFails(w, artifact(l.newest(w, 1), toNew), artifact(l.newest(w, 2), toInPlace))
	},
	"Create restore session/RestoreArtifactsLimitBreached": func(w *world, l workload) produced {
		return l.createFails(w, tooMany(l.newest(w, 1))...)
	},
	"Create restore session/DuplicateArtifactInList": func(w *world, l workload) produced {
		point := l.newest(w, 1)
		return l.createFails(w, artifact(point, toNew), artifact(point, toNew))
	},
	"Get restore session/InvalidRestoreSessionId": func(w *world, l workload) produced { return w.sessionFails("Get", notGUID) },
	"Get restore session/RestoreSessionNotFound":  func(w *world, l workload) produced { return w.sessionFails("Get", unknown) },
	"Patch restore session/InvalidRestoreSessionId": func(w *world, l workload) produced {
		return l.patchFails(w, notGUID, artifact(l.newest(w, 1), toNew))
	},
	"Patch restore session/InvalidPatchRequest": func(w *world, l workload) produced {
		session := l.draft(w, toNew, 1)
		w.wantRaw("PATCH", l.sessionsPath(session), "null", 400, "InvalidPatchRequest")
		w.fault(emulator.Fault{Operation: "PATCH " + l.sessionsPath("{id}"), Code: "InvalidPatchRequest"})
		return l.patchFails(w, session, artifact(l.newest(w, 2), toNew))
	},
	"Patch restore session/InvalidRestorePoint": func(w *world, l workload) produced {
		return l.patchFails(w, l.draft(w, toNew, 1), artifact("none", toNew))
	},
	"Patch restore session/RestoreArtifactsLimitBreached": func(w *world, l workload) produced {
		return l.patchFails(w, l.draft(w, toNew, 1), tooMany(l.newest(w, 2))...)
	},
	"Patch restore session/InvalidArtifactRequest": func(w *world, l workload) produced {
		return l.patchFails(w, l.draft(w, toNew, 1))
	},
	"Patch restore session/RestoreSessionActionNotAllowed": func(w *world, l workload) produced {
		return l.patchFails(w, l.running(w, toNew, 1), artifact(l.newest(w, 2), toNew))
	},
	"Patch restore session/RestoreSessionNotFound": func(w *world, l workload) produced {
		return l.patchFails(w, unknown, artifact(l.newest(w, 1), toNew))
	},
	"Patch restore session/DuplicateArtifactInList": func(w *world, l workload) produced {
		point := l.newest(w, 2)
		return l.patchFails(w, l.draft(w, toNew, 1), artifact(point, toNew), artifact(point, toNew))
	},
	"Delete restore session/InvalidRestoreSessionId": func(w *world, l workload) produced { return w.sessionFails("Delete", notGUID) },
	"Delete restore session/RestoreSessionNotFound":  func(w *world, l workload) produced { return w.sessionFails("Delete", unknown) },
	"Delete restore session/RestoreSessionActionNotAllowed": func(w *world, l workload) produced {
		return w.sessionFails("Delete", l.running(w, toNew, 1))
	},
	"Delete restore session/IncompleteArtifactDeletion": func(w *world, l workload) produced {
		session := l.draft(w, toNew, 1)
		w.fault(emulator.Fault{Operation: "DELETE /restoreSessions/{id}", Code: "IncompleteArtifactDeletion"})
		return w.sessionFails("Delete", session)
	},
	"Activate restore session/InvalidRestoreSessionId": func(w *world, l workload) produced { return w.sessionFails("Activate", notGUID) },
	"Activate restore session/RestoreSessionNotFound":  func(w *world, l workload) produced { return w.sessionFails("Activate", unknown) },
	"Activate restore session/RestoreSessionActionNotAllowed": func(w *world, l workload) produced {
		return w.sessionFails("Activate", l.running(w, toNew, 1))
	},
	"Activate restore session/TooManyActiveRestoreSessions": func(w *world, l workload) produced {
		for range mostActive {
			l.running(w, toNew, 1)
		}
		return w.sessionFails("Activate", l.draft(w, toNew, 1))
	},
}

// artifactErrors are those that say inside an artifact why it was not restored.
var artifactErrors = map[string]producer{
	"List restore artifact under a restore session/InvalidRestoreSessionId": func(w *world, l workload) produced {
		return l.artifacts(w, notGUID)
	},
	"List restore artifact under a restore session/UnknownError": func(w *world, l workload) produced {
		session := l.running(w, toNew, 1)
		w.fault(emulator.Fault{Operation: "GET " + l.sessionsPath("{id}") + "/" + l.things() + "RestoreArtifacts", InBand: &emulator.InBandError{Code: "UnknownError"}})
		return l.artifacts(w, session)
	},
	"List restore artifact under a restore session/ArtifactNotFound": func(w *world, l workload) produced {
		session := l.draft(w, toNew, 1)
		// The units of a policy that was deleted are offboarded a year later, and their backup goes with them.
		policy := emulator.SeededPolicyID(w.tenant, l.kind())
		must[pb.DeactivateProtectionPolicyResponse](w, policies+"DeactivateProtectionPolicy", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: policy})
		w.emulator.Clock().Advance(time.Hour)
		must[pb.DeleteProtectionPolicyResponse](w, policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: policy})
		w.emulator.Clock().Advance(366 * 24 * time.Hour)
		return l.restored(w, session)
	},
	"List restore artifact under a restore session/InvalidRestoreTime": func(w *world, l workload) produced {
		session := l.draft(w, toNew, 1)
		// No point is kept for longer than a year.
		w.emulator.Clock().Advance(366 * 24 * time.Hour)
		return l.restored(w, session)
	},
	"List restore artifact under a restore session/ArtifactCannotBeRestored": func(w *world, l workload) produced {
		return l.restored(w, l.draft(w, toInPlace, emulator.UserPreservationLock))
	},
	"List restore artifact under a restore session/DuplicateArtifactRestoreRequest": func(w *world, l workload) produced {
		l.running(w, toNew, 1)
		w.emulator.Clock().Advance(5 * time.Minute)
		return l.restored(w, l.draft(w, toNew, 1))
	},
}

// backedUp gives the tenant units whose backup goes back a month, unless it has them.
func (w *world) backedUp() {
	w.t.Helper()
	response := must[pb.ListProtectionPoliciesResponse](w, policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest))
	if len(response.GetProtectionPolicies()) > 0 {
		return
	}
	seed := emulator.Seed{Tenant: w.tenant, ServiceStatus: "enabled"}
	for _, l := range workloads {
		seed.Policies = append(seed.Policies, emulator.PolicySeed{Workload: l.kind(), Units: 10, ProtectedFor: emulator.Duration(30 * 24 * time.Hour)})
	}
	if err := w.emulator.Seed(seed); err != nil {
		w.t.Fatal(err)
	}
}

// newest is the id of the newest restore point of a unit.
func (l workload) newest(w *world, n int) string {
	w.t.Helper()
	w.backedUp()
	points := must[pb.ListRestorePointsResponse](w, "RestorePointService/ListRestorePoints", &pb.ListRestorePointsRequest{
		ProtectionUnitId: l.unitID(w.tenant, n), ProtectionDateTimeBefore: timestamppb.New(w.emulator.Clock().Now()),
	}).GetRestorePoints()
	if len(points) == 0 {
		w.t.Fatalf("%s %d has no restore points", l.thing(), n)
	}
	return points[0].GetId()
}

// The requests and responses of the workloads have the same shape on the wire, so those of one do for all.

func artifact(point string, to pb.DestinationType) *pb.NewMailboxRestoreArtifact {
	return &pb.NewMailboxRestoreArtifact{RestorePoint: &pb.RestorePointReference{Id: point}, DestinationType: to}
}

// tooMany are more artifacts than a request may have.
func tooMany(point string) []*pb.NewMailboxRestoreArtifact {
	var all []*pb.NewMailboxRestoreArtifact
	for range 51 {
		all = append(all, artifact(point, toNew))
	}
	return all
}

func newSessionRequest(artifacts []*pb.NewMailboxRestoreArtifact) *pb.CreateExchangeRestoreSessionRequest {
	return &pb.CreateExchangeRestoreSessionRequest{Artifacts: &pb.CreateExchangeRestoreSessionRequest_MailboxRestoreArtifacts{
		MailboxRestoreArtifacts: &pb.NewMailboxRestoreArtifacts{Items: artifacts},
	}}
}

func (l workload) sessionRPC(verb string) string {
	return sessions + verb + l.prefix + "RestoreSession"
}

func (l workload) sessionsPath(session string) string {
	return "/" + strings.Replace(l.collection, "ProtectionPolicies", "RestoreSessions", 1) + "/" + session
}

func (l workload) createFails(w *world, artifacts ...*pb.NewMailboxRestoreArtifact) produced {
	w.t.Helper()
	return w.fails(l.sessionRPC("Create"), newSessionRequest(artifacts))
}

func (l workload) patchFails(w *world, session string, artifacts ...*pb.NewMailboxRestoreArtifact) produced {
	w.t.Helper()
	return w.fails(l.sessionRPC("Update"), &pb.UpdateExchangeRestoreSessionRequest{RestoreSessionId: session, AddMailboxRestoreArtifacts: artifacts})
}

func (w *world) sessionFails(verb, session string) produced {
	w.t.Helper()
	return w.fails(sessions+verb+"RestoreSession", &pb.GetRestoreSessionRequest{RestoreSessionId: session})
}

// draft makes a session that restores units from their newest points.
func (l workload) draft(w *world, to pb.DestinationType, numbers ...int) string {
	w.t.Helper()
	var artifacts []*pb.NewMailboxRestoreArtifact
	for _, n := range numbers {
		artifacts = append(artifacts, artifact(l.newest(w, n), to))
	}
	return must[pb.CreateExchangeRestoreSessionResponse](w, l.sessionRPC("Create"), newSessionRequest(artifacts)).GetRestoreSession().GetId()
}

// running makes a session and activates it.
func (l workload) running(w *world, to pb.DestinationType, numbers ...int) string {
	w.t.Helper()
	session := l.draft(w, to, numbers...)
	w.run(session)
	return session
}

func (w *world) run(session string) {
	w.t.Helper()
	must[pb.ActivateRestoreSessionResponse](w, sessions+"ActivateRestoreSession", &pb.ActivateRestoreSessionRequest{RestoreSessionId: session})
}

// restored activates a session, waits until it has ended and lists what came of it.
func (l workload) restored(w *world, session string) produced {
	w.t.Helper()
	w.run(session)
	w.emulator.Clock().Advance(time.Hour)
	return l.artifacts(w, session)
}

// artifacts lists the artifacts of a session; the error of the only one is inside.
func (l workload) artifacts(w *world, session string) produced {
	w.t.Helper()
	response := new(pb.ListMailboxRestoreArtifactsResponse)
	call := w.call("RestoreArtifactService/List"+l.thing()+"RestoreArtifacts", &pb.ListMailboxRestoreArtifactsRequest{RestoreSessionId: session}, response)
	got := produced{call: call, again: func() produced { return l.artifacts(w, session) }}
	if all := response.GetRestoreArtifacts(); len(all) == 1 {
		got.inside, got.item = all[0].GetError(), all[0].GetId()
	} else if call.status == nil {
		w.t.Fatalf("%d artifacts, want 1", len(all))
	}
	return got
}
