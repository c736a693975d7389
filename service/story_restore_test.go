package service_test

import (
	"strings"

	pb "github.com/m365backup/backupstorage/gen/m365/backupstorage/v1"
	"github.com/m365backup/backupstorage/graph/emulator"
	"github.com/m365backup/backupstorage/service/internal/servicetest"
)

const (
	inPlace = "DESTINATION_TYPE_IN_PLACE"
	newHome = "DESTINATION_TYPE_NEW"
)

// restore finds restore points and restores from them: in place, and to a new location, where one of two fails.
func (s *story) restore() {
	s.wait("points to restore from", func() bool { return len(s.points(1)) > 2 && len(s.points(3)) > 0 && len(s.points(5)) > 0 })
	before := s.points(1)[0]
	found := s.do("SearchRestorePoints", fields{
		"protection_unit_ids":      []string{s.unitOf(1), s.unitOf(3)},
		"protection_time_period":   fields{"end_date_time": s.now()},
		"restore_point_preference": "RESTORE_POINT_PREFERENCE_LATEST",
	})
	results := resources[*pb.RestorePointSearchResult](found)
	want(s, "results of the search", len(results), 2)
	for _, result := range results {
		if unit := result.GetRestorePoint().GetProtectionUnit().GetId(); unit == s.unitOf(1) {
			want(s, "latest point of unit 1", result.GetRestorePoint().GetId(), before.GetId())
		}
	}

	session := s.newSession(s.wholeUnits(inPlace, 1, 3))
	s.activate(session)
	s.waitForSession(session, pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED)
	for _, artifact := range s.artifacts(session) {
		want(s, "artifact in place", artifact.GetStatus(), pb.ArtifactRestoreStatus_ARTIFACT_RESTORE_STATUS_SUCCEEDED)
	}

	session = s.newSession(s.wholeUnits(newHome, 1, 3))
	s.changeDraft(session)
	if !s.hasDynamicRules() {
		// In the emulator, restores of user 5 fail without a fault; those of a site need one.
		s.Fault(emulator.Fault{Operation: "POST /restoreSessions/{id}/activate", Item: s.unitOf(5), InBand: &emulator.InBandError{Code: "UnknownError"}})
	}
	s.activate(session)
	s.waitForSession(session, pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED_WITH_ERROR)
	s.wantOneFailed(session)
}

// changeDraft removes unit 3 from a draft and adds unit 5.
func (s *story) changeDraft(session string) {
	var third string
	for _, artifact := range s.artifacts(session) {
		if strings.HasPrefix(artifact.GetRestorePoint().GetId(), s.unitOf(3)) {
			third = artifact.GetId()
		}
	}
	changed := s.do("Update"+s.prefix+"RestoreSession", fields{
		"restore_session_id": session, "add_" + s.field + "_restore_artifacts": s.artifactsOf(newHome, 5),
		"remove_" + s.field + "_restore_artifact_ids": []string{third},
	})
	// For restores of whole units, the response has only what was added.
	want(s, "artifacts that were added", len(resources[*pb.RestoreArtifactChange](changed)), 1)
}

// wantOneFailed checks the two artifacts of a session: that of unit 5 failed, and the other one says where it was
// restored to.
func (s *story) wantOneFailed(session string) {
	artifacts := s.artifacts(session)
	want(s, "artifacts", len(artifacts), 2)
	for _, artifact := range artifacts {
		if strings.HasPrefix(artifact.GetRestorePoint().GetId(), s.unitOf(5)) {
			want(s, "artifact of unit 5", artifact.GetStatus(), pb.ArtifactRestoreStatus_ARTIFACT_RESTORE_STATUS_FAILED)
			want(s, "its reason", servicetest.ReasonOf(artifact.GetError()), "UNKNOWN_ERROR")
			continue
		}
		want(s, "artifact of unit 1", artifact.GetStatus(), pb.ArtifactRestoreStatus_ARTIFACT_RESTORE_STATUS_SUCCEEDED)
		if artifact.GetMailbox().GetRestoredFolderName() == "" && artifact.GetSite().GetRestoredSiteWebUrl() == "" {
			s.TB.Errorf("does not say where to: %v", artifact)
		}
	}
}

// restoreInBulk restores by addresses, one of which does not exist. The request is active until its session is
// activated: a draft gets rid of it only with itself, and a session that ran can.
func (s *story) restoreInBulk() {
	rpc := s.unit + "RestoreArtifactsBulkAdditionRequest"
	ask := func(session string, addresses ...string) fields {
		request := resource[*pb.RestoreArtifactBulkAdditionRequest](s.do("Create"+rpc, fields{
			"restore_session_id": session, "display_name": "Back to the latest", s.addresses: addresses,
			"protection_time_period": fields{"end_date_time": s.now()}, "restore_point_preference": "RESTORE_POINT_PREFERENCE_LATEST",
			"tags": []string{"RESTORE_POINT_TAGS_FAST_RESTORE"}, "destination_type": newHome,
		}))
		return fields{"restore_session_id": session, "bulk_addition_request_id": request.GetId()}
	}
	through := func(request fields, state pb.RestoreArtifactsBulkRequestStatus) (is *pb.RestoreArtifactBulkAdditionRequest) {
		s.wait("request is through", func() bool {
			is = resource[*pb.RestoreArtifactBulkAdditionRequest](s.do("Get"+rpc, request))
			return is.GetStatus() == state
		})
		return is
	}

	session := s.newSession(nil)
	request := ask(session, s.address(1), s.missing)
	s.activate(session)
	result := through(request, pb.RestoreArtifactsBulkRequestStatus_RESTORE_ARTIFACTS_BULK_REQUEST_STATUS_COMPLETED_WITH_ERRORS)
	if failed := result.GetFailedResources(); len(failed) != 1 || failed[0].GetTarget() != s.missing || servicetest.ReasonOf(failed[0].GetError()) != "USER_NOT_BACKEDUP" {
		s.TB.Errorf("failed resources: %v", failed)
	}
	want(s, "requests of the session", len(resources[*pb.RestoreArtifactBulkAdditionRequest](s.do("List"+rpc+"s", fields{"restore_session_id": session}))), 1)
	s.waitForSession(session, pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED)
	want(s, "artifacts of the request", len(s.artifacts(session)), 1)
	s.do("Delete"+rpc, request)
	want(s, "artifacts without the request", len(s.artifacts(session)), 1)

	session = s.newSession(nil)
	ask(session, s.address(1))
	s.do("DeleteRestoreSession", fields{"restore_session_id": session})
	for _, left := range resources[*pb.RestoreSession](s.do("ListRestoreSessions", nil)) {
		if left.GetId() == session {
			s.TB.Errorf("session is still there: %v", left)
		}
	}
}

// restoreParts restores mail that a search found, or files that browsing found.
func (s *story) restoreParts() {
	if s.unit == "Mailbox" {
		s.restoreMail()
		return
	}
	s.restoreFiles()
}

func (s *story) restoreMail() {
	found := s.do("SearchRestorePoints", fields{
		"protection_unit_ids":      []string{s.unitOf(1)},
		"protection_time_period":   fields{"end_date_time": s.now()},
		"restore_point_preference": "RESTORE_POINT_PREFERENCE_LATEST",
		"artifact_query":           fields{"artifact_type": "RESTORABLE_ARTIFACT_MESSAGE", "query_expression": "Sender -eq 'news@partner.example'"},
	})
	results := resources[*pb.RestorePointSearchResult](found)
	if len(results) != 1 || results[0].GetArtifactHitCount() == 0 {
		s.TB.Fatalf("search for mail: %v", found)
	}
	search, ok := found.(*pb.SearchRestorePointsResponse)
	if !ok || search.GetSearchResponseId() == "" {
		s.TB.Fatalf("a search has no id: %v", found)
	}
	session := s.newSession(fields{"granular_mailbox_restore_artifacts": fields{"items": []fields{{
		"restore_point": fields{"id": results[0].GetRestorePoint().GetId()}, "destination_type": newHome,
		"search_response_id": search.GetSearchResponseId(),
	}}}})
	s.activate(session)
	s.waitForSession(session, pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED)
	artifacts := s.artifacts(session)
	want(s, "artifacts", len(artifacts), 1)
	want(s, "messages that came back", artifacts[0].GetMailbox().GetRestoredItemCount(), results[0].GetArtifactHitCount())
}

func (s *story) restoreFiles() {
	// One point an hour can be browsed, and a list has the newest five.
	var point string
	s.wait("point that can be browsed", func() bool {
		for _, p := range s.points(1) {
			if len(p.GetTags()) > 0 && p.GetTags()[0] == pb.RestorePointTags_RESTORE_POINT_TAGS_FAST_RESTORE {
				point = p.GetId()
			}
		}
		return point != ""
	})
	rpc := s.prefix + "BrowseSession"
	browse := resource[*pb.BrowseSession](s.do("Create"+rpc, fields{"restore_point_id": point}))
	want(s, "browse sessions of the workload", len(resources[*pb.BrowseSession](s.do("List"+rpc+"s", nil))), 1)
	want(s, "browse sessions", len(resources[*pb.BrowseSession](s.do("ListBrowseSessions", nil))), 1)
	s.wait("browse session created", func() bool {
		is := resource[*pb.BrowseSession](s.do("Get"+rpc, fields{"browse_session_id": browse.GetId()}))
		return is.GetStatus() == pb.BrowseSessionStatus_BROWSE_SESSION_STATUS_CREATED
	})

	site := s.browse(browse.GetId(), "", "")[0]
	library := s.browse(browse.GetId(), site.GetItemKey(), "BROWSABLE_RESOURCE_TYPE_SITE")[0]
	var reports *pb.BrowseQueryResponseItem
	for _, item := range s.browse(browse.GetId(), library.GetItemKey(), "BROWSABLE_RESOURCE_TYPE_DOCUMENT_LIBRARY") {
		if item.GetName() == "Reports" {
			reports = item
		}
	}
	files := s.browse(browse.GetId(), reports.GetItemKey(), "BROWSABLE_RESOURCE_TYPE_FOLDER")
	// Pages have ten items, so the last file is on the third.
	want(s, "files in the folder", len(files), 23)

	session := s.newSession(fields{s.partial + "_restore_artifacts": fields{"items": []fields{{"browse_session_id": browse.GetId(), "id": files[0].GetItemKey()}}}})
	key := "id"
	if s.unit == "Drive" {
		// The key has two names, and PATCH of a drive's session takes the other one.
		key = "item_key"
	}
	s.do("Update"+s.prefix+"RestoreSession", fields{
		"restore_session_id": session, "add_" + s.partial + "_restore_artifacts": []fields{{"browse_session_id": browse.GetId(), key: files[22].GetItemKey()}},
	})
	s.activate(session)
	s.waitForSession(session, pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_COMPLETED)
	parts := resources[*pb.GranularRestoreArtifact](s.do("ListGranular"+s.unit+"RestoreArtifacts", fields{"restore_session_id": session}))
	want(s, "files that came back", len(parts), 2)
	for _, part := range parts {
		want(s, "a file", part.GetStatus(), pb.ArtifactRestoreStatus_ARTIFACT_RESTORE_STATUS_SUCCEEDED)
		if part.GetRestoredItemPath() == "" {
			s.TB.Errorf("does not say where to: %v", part)
		}
	}
}

// browse returns the items at a location of a browse session, from all pages.
func (s *story) browse(session, key, kind string) (items []*pb.BrowseQueryResponseItem) {
	s.TB.Helper()
	request := fields{"browse_session_id": session}
	if key != "" {
		request["browse_location_item_key"] = key
		request["browse_resource_type"] = kind
	}
	for range 10 {
		page := s.do("Browse"+s.prefix+"BrowseSession", request)
		items = append(items, resources[*pb.BrowseQueryResponseItem](page)...)
		more, ok := page.(interface{ GetNextPageToken() string })
		if !ok || more.GetNextPageToken() == "" {
			return items
		}
		// A page token belongs to the request that it continues.
		request["page_token"] = more.GetNextPageToken()
	}
	s.TB.Fatal("no end of pages")
	return nil
}

// points are the restore points of a unit, newest first.
func (s *story) points(n int) []*pb.RestorePoint {
	s.TB.Helper()
	return resources[*pb.RestorePoint](s.do("ListRestorePoints", fields{
		"protection_unit_id": s.unitOf(n), "protection_date_time_before": s.now(), "order": "RESTORE_POINT_ORDER_NEWEST_FIRST",
	}))
}

// artifactsOf are new artifacts that restore whole units from their newest points.
func (s *story) artifactsOf(destination string, numbers ...int) []fields {
	s.TB.Helper()
	var all []fields
	for _, n := range numbers {
		all = append(all, fields{"restore_point": fields{"id": s.points(n)[0].GetId()}, "destination_type": destination})
	}
	return all
}

func (s *story) wholeUnits(destination string, numbers ...int) fields {
	s.TB.Helper()
	return fields{s.field + "_restore_artifacts": fields{"items": s.artifactsOf(destination, numbers...)}}
}

func (s *story) newSession(request fields) string {
	s.TB.Helper()
	session := resource[*pb.RestoreSession](s.do("Create"+s.prefix+"RestoreSession", request))
	want(s, "status of a new session", session.GetStatus(), pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_DRAFT)
	return session.GetId()
}

func (s *story) activate(session string) {
	s.TB.Helper()
	is := resource[*pb.RestoreSession](s.do("ActivateRestoreSession", fields{"restore_session_id": session}))
	want(s, "status of an activated session", is.GetStatus(), pb.RestoreSessionStatus_RESTORE_SESSION_STATUS_ACTIVATING)
}

func (s *story) waitForSession(session string, state pb.RestoreSessionStatus) {
	s.TB.Helper()
	s.wait("session "+state.String(), func() bool {
		return resource[*pb.RestoreSession](s.do("GetRestoreSession", fields{"restore_session_id": session})).GetStatus() == state
	})
}

func (s *story) artifacts(session string) []*pb.RestoreArtifact {
	s.TB.Helper()
	return resources[*pb.RestoreArtifact](s.do("List"+s.unit+"RestoreArtifacts", fields{"restore_session_id": session}))
}
