package server

import (
	"slices"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"

	v1 "warren.io/warren/apis/v1"
	"warren.io/warren/runtime/server/api"
)

// Who may call what. A call that stands nowhere here is nobody's, and a test fails for it.
var (
	// forAll need no certificate: they are how one is come by.
	forAll = []string{api.Membership_Join_FullMethodName, api.Membership_Login_FullMethodName}

	// forWorkers are the calls that a worker may make. What it sees and writes by them is up to its scope.
	forWorkers = []string{
		api.Warren_Get_FullMethodName, api.Warren_List_FullMethodName, api.Warren_Watch_FullMethodName, api.Warren_Commit_FullMethodName,
		api.Membership_Renew_FullMethodName, api.Membership_Heartbeat_FullMethodName, api.Membership_Reach_FullMethodName,
	}

	// forDismissed are the calls of a node that is none any more: by them it learns that nothing is its own, and stops what it ran.
	// Were they refused, it would take itself for cut off, and its tasks would go on for ever.
	forDismissed = []string{api.Warren_List_FullMethodName, api.Warren_Watch_FullMethodName}

	// forNewcomers are those that a manager may make beside, which is not yet, or not any more, among those that keep the store.
	forNewcomers = []string{api.Membership_Place_FullMethodName, api.Membership_Managers_FullMethodName}

	// forManagers are of no one else; those that keep the store may call everything.
	forManagers = []string{api.Membership_Place_FullMethodName, api.Membership_Relay_FullMethodName}

	// forUsers are for all people who have logged in.
	forUsers = []string{api.Membership_Renew_FullMethodName}

	// forViewers read. What they see of the store is in kindRights.
	forViewers = []string{
		api.Warren_Get_FullMethodName, api.Warren_List_FullMethodName, api.Warren_Watch_FullMethodName,
		api.Warren_Logs_FullMethodName, api.Warren_ListImages_FullMethodName, api.Warren_WatchPulls_FullMethodName, api.Warren_Usage_FullMethodName,
		api.Warren_Info_FullMethodName, api.Warren_Graph_FullMethodName, api.Warren_Why_FullMethodName, api.Membership_Whoami_FullMethodName, api.Membership_Managers_FullMethodName,
		healthpb.Health_Check_FullMethodName, healthpb.Health_Watch_FullMethodName, healthpb.Health_List_FullMethodName,
		reflectv1.ServerReflection_ServerReflectionInfo_FullMethodName, reflectv1alpha.ServerReflection_ServerReflectionInfo_FullMethodName,
	}

	// forOperators work with services and machines. What they write in the store is in kindRights.
	forOperators = []string{
		api.Warren_Commit_FullMethodName, api.Warren_Exec_FullMethodName, api.Warren_Forward_FullMethodName,
		api.Warren_ReadFiles_FullMethodName, api.Warren_WriteFiles_FullMethodName,
		api.Warren_ImportImage_FullMethodName, api.Warren_RemoveImage_FullMethodName, api.Warren_PinImage_FullMethodName,
	}

	// forAdmins hold what opens the cluster to others, or ends it.
	forAdmins = []string{
		api.Warren_Stop_FullMethodName, api.Warren_Backup_FullMethodName, api.Membership_CreateToken_FullMethodName,
		api.Debug_Reports_FullMethodName, api.Audit_Read_FullMethodName,
	}
)

// takes is the least role of a person that a call takes; "" for one that no person may make.
func takes(method string) v1.Role {
	switch {
	case slices.Contains(forViewers, method):
		return v1.RoleViewer
	case slices.Contains(forOperators, method):
		return v1.RoleOperator
	case slices.Contains(forAdmins, method):
		return v1.RoleAdmin
	}
	return ""
}

// right is the least role that it takes to see, to write and to remove objects of a kind.
type right struct{ see, write, remove v1.Role }

// kindRights is what people who are no administrators may do with kinds. One that is missing is the administrators' alone, and a
// test fails for it. What nobody may do is up to admission.
var kindRights = map[string]right{
	v1.ClusterKind.Name:   {v1.RoleViewer, v1.RoleAdmin, v1.RoleAdmin},
	v1.NodeKind.Name:      {v1.RoleViewer, v1.RoleOperator, v1.RoleAdmin},
	v1.ServiceKind.Name:   {v1.RoleViewer, v1.RoleOperator, v1.RoleOperator},
	v1.TaskKind.Name:      {v1.RoleViewer, v1.RoleAdmin, v1.RoleOperator},
	v1.EventKind.Name:     {v1.RoleViewer, v1.RoleAdmin, v1.RoleAdmin},
	v1.AuthorityKind.Name: {v1.RoleAdmin, v1.RoleAdmin, v1.RoleAdmin},
	v1.TokenKind.Name:     {v1.RoleAdmin, v1.RoleAdmin, v1.RoleAdmin},
	v1.UserKind.Name:      {v1.RoleAdmin, v1.RoleAdmin, v1.RoleAdmin}, // and each sees himself
}

func rightsOf(kind string) right {
	if r, ok := kindRights[kind]; ok {
		return r
	}
	return right{v1.RoleAdmin, v1.RoleAdmin, v1.RoleAdmin}
}
