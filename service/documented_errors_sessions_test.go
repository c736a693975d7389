package service_test

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const (
	sessions          = "RestoreSessionService/"
	toNew             = pb.DestinationType_DESTINATION_TYPE_NEW
	toInPlace         = pb.DestinationType_DESTINATION_TYPE_IN_PLACE
	toNowhere         = pb.DestinationType_DESTINATION_TYPE_UNSPECIFIED
	maxActiveSessions = 25
)

// sessionErrors produce the errors of restore sessions.
var sessionErrors = map[string]producer{
	"Create restore session/InvalidPathType": func(s *servicetest.Server, l workload) produced {
		return l.createFails(s, artifact(l.newest(s, 1), toNowhere))
	},
	"Create restore session/InvalidArtifactRequest": func(s *servicetest.Server, l workload) produced { return l.createFails(s) },
	"Create restore session/InvalidRestorePoint": func(s *servicetest.Server, l workload) produced {
		return l.createFails(s, artifact("none", toNew))
	},
	"Create restore session/DifferentRestoreDestinationType": func(s *servicetest.Server, l workload) produced {
		return l.createFails(s, artifact(l.newest(s, 1), toNew), artifact(l.newest(s, 2), toInPlace))
	},
	"Create restore session/RestoreArtifactsLimitBreached": func(s *servicetest.Server, l workload) produced {
		return l.createFails(s, tooMany(l.newest(s, 1))...)
	},
	"Create restore session/DuplicateArtifactInList": func(s *servicetest.Server, l workload) produced {
		point := l.newest(s, 1)
		return l.createFails(s, artifact(point, toNew), artifact(point, toNew))
	},
	"Get restore session/InvalidRestoreSessionId": func(s *servicetest.Server, l workload) produced { return sessionFails(s, "Get", notGUID) },
	"Get restore session/RestoreSessionNotFound":  func(s *servicetest.Server, l workload) produced { return sessionFails(s, "Get", unknown) },
	"Patch restore session/InvalidRestoreSessionId": func(s *servicetest.Server, l workload) produced {
		return l.patchFails(s, notGUID, artifact(l.newest(s, 1), toNew))
	},
	"Patch restore session/InvalidPatchRequest": func(s *servicetest.Server, l workload) produced {
		session := l.draft(s, toNew, 1)
		wantRaw(s, "PATCH", l.sessionsPath(session), "null", 400, "InvalidPatchRequest")
		s.Fault(emulator.Fault{Operation: "PATCH " + l.sessionsPath("{id}"), Code: "InvalidPatchRequest"})
		return l.patchFails(s, session, artifact(l.newest(s, 2), toNew))
	},
	"Patch restore session/InvalidRestorePoint": func(s *servicetest.Server, l workload) produced {
		return l.patchFails(s, l.draft(s, toNew, 1), artifact("none", toNew))
	},
	"Patch restore session/RestoreArtifactsLimitBreached": func(s *servicetest.Server, l workload) produced {
		return l.patchFails(s, l.draft(s, toNew, 1), tooMany(l.newest(s, 2))...)
	},
	"Patch restore session/InvalidArtifactRequest": func(s *servicetest.Server, l workload) produced {
		return l.patchFails(s, l.draft(s, toNew, 1))
	},
	"Patch restore session/RestoreSessionActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		return l.patchFails(s, l.running(s, toNew, 1), artifact(l.newest(s, 2), toNew))
	},
	"Patch restore session/RestoreSessionNotFound": func(s *servicetest.Server, l workload) produced {
		return l.patchFails(s, unknown, artifact(l.newest(s, 1), toNew))
	},
	"Patch restore session/DuplicateArtifactInList": func(s *servicetest.Server, l workload) produced {
		point := l.newest(s, 2)
		return l.patchFails(s, l.draft(s, toNew, 1), artifact(point, toNew), artifact(point, toNew))
	},
	"Delete restore session/InvalidRestoreSessionId": func(s *servicetest.Server, l workload) produced { return sessionFails(s, "Delete", notGUID) },
	"Delete restore session/RestoreSessionNotFound":  func(s *servicetest.Server, l workload) produced { return sessionFails(s, "Delete", unknown) },
	"Delete restore session/RestoreSessionActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		return sessionFails(s, "Delete", l.running(s, toNew, 1))
	},
	"Delete restore session/IncompleteArtifactDeletion": func(s *servicetest.Server, l workload) produced {
		session := l.draft(s, toNew, 1)
		s.Fault(emulator.Fault{Operation: "DELETE /restoreSessions/{id}", Code: "IncompleteArtifactDeletion"})
		return sessionFails(s, "Delete", session)
	},
	"Activate restore session/InvalidRestoreSessionId": func(s *servicetest.Server, l workload) produced { return sessionFails(s, "Activate", notGUID) },
	"Activate restore session/RestoreSessionNotFound":  func(s *servicetest.Server, l workload) produced { return sessionFails(s, "Activate", unknown) },
	"Activate restore session/RestoreSessionActionNotAllowed": func(s *servicetest.Server, l workload) produced {
		return sessionFails(s, "Activate", l.running(s, toNew, 1))
	},
	"Activate restore session/TooManyActiveRestoreSessions": func(s *servicetest.Server, l workload) produced {
		for range maxActiveSessions {
			l.running(s, toNew, 1)
		}
		return sessionFails(s, "Activate", l.draft(s, toNew, 1))
	},
}

// artifactErrors produce the embedded errors of artifacts, which say why one was not restored.
var artifactErrors = map[string]producer{
	"List restore artifact under a restore session/InvalidRestoreSessionId": func(s *servicetest.Server, l workload) produced {
		return l.artifacts(s, notGUID)
	},
	"List restore artifact under a restore session/UnknownError": func(s *servicetest.Server, l workload) produced {
		session := l.running(s, toNew, 1)
		s.Fault(emulator.Fault{Operation: "GET " + l.sessionsPath("{id}") + "/" + l.things() + "RestoreArtifacts", InBand: &emulator.InBandError{Code: "UnknownError"}})
		return l.artifacts(s, session)
	},
	"List restore artifact under a restore session/ArtifactNotFound": func(s *servicetest.Server, l workload) produced {
		session := l.draft(s, toNew, 1)
		// The units of a deleted policy are offboarded a year later, and their backups are deleted with them.
		policy := emulator.SeededPolicyID(s.Tenant, l.kind())
		servicetest.Must[pb.DeactivateProtectionPolicyResponse](s, policies+"DeactivateProtectionPolicy", &pb.DeactivateProtectionPolicyRequest{ProtectionPolicyId: policy})
		s.Emulator.Clock().Advance(time.Hour)
		servicetest.Must[pb.DeleteProtectionPolicyResponse](s, policies+"DeleteProtectionPolicy", &pb.DeleteProtectionPolicyRequest{ProtectionPolicyId: policy})
		s.Emulator.Clock().Advance(366 * 24 * time.Hour)
		return l.restored(s, session)
	},
	"List restore artifact under a restore session/InvalidRestoreTime": func(s *servicetest.Server, l workload) produced {
		session := l.draft(s, toNew, 1)
		// A restore point is kept for a year at most.
		s.Emulator.Clock().Advance(366 * 24 * time.Hour)
		return l.restored(s, session)
	},
	"List restore artifact under a restore session/ArtifactCannotBeRestored": func(s *servicetest.Server, l workload) produced {
		return l.restored(s, l.draft(s, toInPlace, emulator.UserPreservationLock))
	},
	"List restore artifact under a restore session/DuplicateArtifactRestoreRequest": func(s *servicetest.Server, l workload) produced {
		l.running(s, toNew, 1)
		s.Emulator.Clock().Advance(5 * time.Minute)
		return l.restored(s, l.draft(s, toNew, 1))
	},
}

// backedUp makes sure that the tenant has units with backups of the last month.
func backedUp(s *servicetest.Server) {
	s.TB.Helper()
	response := servicetest.Must[pb.ListProtectionPoliciesResponse](s, policies+"ListProtectionPolicies", new(pb.ListProtectionPoliciesRequest))
	if len(response.GetProtectionPolicies()) > 0 {
		return
	}
	seed := emulator.Seed{Tenant: s.Tenant, ServiceStatus: "enabled"}
	for _, l := range workloads {
		seed.Policies = append(seed.Policies, emulator.PolicySeed{Workload: l.kind(), Units: 10, ProtectedFor: emulator.Duration(30 * 24 * time.Hour)})
	}
	if err := s.Emulator.Seed(seed); err != nil {
		s.TB.Fatal(err)
	}
}

// newest is the id of the newest restore point of a unit.
func (l workload) newest(s *servicetest.Server, n int) string {
	s.TB.Helper()
	backedUp(s)
	points := servicetest.Must[pb.ListRestorePointsResponse](s, "RestorePointService/ListRestorePoints", &pb.ListRestorePointsRequest{
		ProtectionUnitId: l.unitID(s.Tenant, n), ProtectionDateTimeBefore: timestamppb.New(s.Emulator.Clock().Now()),
	}).GetRestorePoints()
	if len(points) == 0 {
		s.TB.Fatalf("%s %d has no restore points", l.thing(), n)
	}
	return points[0].GetId()
}

// The requests and responses of the three workloads have the same shape on the wire, so those of one serve all.

func artifact(point string, to pb.DestinationType) *pb.NewMailboxRestoreArtifact {
	return &pb.NewMailboxRestoreArtifact{RestorePoint: &pb.RestorePointReference{Id: point}, DestinationType: to}
}

// tooMany are more artifacts than a request can have.
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

func (l workload) createFails(s *servicetest.Server, artifacts ...*pb.NewMailboxRestoreArtifact) produced {
	s.TB.Helper()
	return fails(s, l.sessionRPC("Create"), newSessionRequest(artifacts))
}

func (l workload) patchFails(s *servicetest.Server, session string, artifacts ...*pb.NewMailboxRestoreArtifact) produced {
	s.TB.Helper()
	return fails(s, l.sessionRPC("Update"), &pb.UpdateExchangeRestoreSessionRequest{RestoreSessionId: session, AddMailboxRestoreArtifacts: artifacts})
}

func sessionFails(s *servicetest.Server, verb, session string) produced {
	s.TB.Helper()
	return fails(s, sessions+verb+"RestoreSession", &pb.GetRestoreSessionRequest{RestoreSessionId: session})
}

// draft makes a session that restores units from their newest points.
func (l workload) draft(s *servicetest.Server, to pb.DestinationType, numbers ...int) string {
	s.TB.Helper()
	var artifacts []*pb.NewMailboxRestoreArtifact
	for _, n := range numbers {
		artifacts = append(artifacts, artifact(l.newest(s, n), to))
	}
	return servicetest.Must[pb.CreateExchangeRestoreSessionResponse](s, l.sessionRPC("Create"), newSessionRequest(artifacts)).GetRestoreSession().GetId()
}

// running makes a session and activates it.
func (l workload) running(s *servicetest.Server, to pb.DestinationType, numbers ...int) string {
	s.TB.Helper()
	session := l.draft(s, to, numbers...)
	activateSession(s, session)
	return session
}

func activateSession(s *servicetest.Server, session string) {
	s.TB.Helper()
	servicetest.Must[pb.ActivateRestoreSessionResponse](s, sessions+"ActivateRestoreSession", &pb.ActivateRestoreSessionRequest{RestoreSessionId: session})
}

// restored activates a session, waits until it has ended and lists its artifacts.
func (l workload) restored(s *servicetest.Server, session string) produced {
	s.TB.Helper()
	activateSession(s, session)
	s.Emulator.Clock().Advance(time.Hour)
	return l.artifacts(s, session)
}

// artifacts lists the artifacts of a session. When there is only one, its error is the embedded one.
func (l workload) artifacts(s *servicetest.Server, session string) produced {
	s.TB.Helper()
	response := new(pb.ListMailboxRestoreArtifactsResponse)
	call := s.Call("RestoreArtifactService/List"+l.thing()+"RestoreArtifacts", &pb.ListMailboxRestoreArtifactsRequest{RestoreSessionId: session}, response)
	got := produced{call: call, again: func() produced { return l.artifacts(s, session) }}
	if all := response.GetRestoreArtifacts(); len(all) == 1 {
		got.embedded, got.item = all[0].GetError(), all[0].GetId()
	} else if call.Status == nil {
		s.TB.Fatalf("%d artifacts, want 1", len(all))
	}
	return got
}
