//! For those who know NumPy, xarray or `PyTorch`'s `DeviceMesh`: how they write it, how it reads here.
//!
//! Nothing but this page is in the module. What it shows is compiled and run.
//!
//! # In one picture
//!
//! A *base* extent numbers its ranks row-major, as NumPy does. A *region* is a strided view of it: an
//! offset, and for each dim of the view a size and a stride in base ranks. No element is touched by
//! making one, as no element is copied by a basic slice of NumPy.
//!
//! ```text
//! base  hosts=3,gpus=4                  view  hosts=::2, gpus=3:0:-2
//!
//!          gpus 0   1   2   3                      gpus 0    1
//! hosts 0       0   1   2   3           hosts 0         3    1        size     2, 2
//!       1       4   5   6   7                 1        11    9        stride   8, -2
//!       2       8   9  10  11                                         offset   3
//!
//! view rank (i, j)  →  base rank  3 + 8 i − 2 j             rank = i * 2 + j, dense, 0..4
//! ```
//!
//! # NumPy
//!
//! | NumPy, `a` of shape `(2, 8)` | here, `a = Region::all(extent!(hosts = 2, gpus = 8)?)` |
//! |---|---|
//! | `a[1]` | `a.slice("hosts", 1)?`, or `a.take(&slice!(1))?` |
//! | `a[-1, 2:6]` | `a.take(&slice!(-1, 2..6))?` |
//! | `a[:, ::2]` | `a.take(&slice!(.., ..;2))?` |
//! | `a[..., 0]` | `a.take(&slice!(..., 0))?` |
//! | `a[::-1]`, `np.flip(a, 0)` | `a.take(&slice!(..;-1))?`, `a.flip("hosts")?` |
//! | `a.T`, `np.transpose(a, (1, 0))` | `a.permute(&["gpus", "hosts"])?` |
//! | `a.squeeze()` | `a.squeeze()` |
//! | `a.reshape(16)` | `a.flatten(&["hosts", "gpus"], "procs")?`; an error where NumPy would copy |
//! | `a.reshape(2, 2, 4)` | `a.split("gpus", &[("numa", 2), ("gpu", 4)])?` |
//! | `sliding_window_view(a, 3, axis=1)` | `a.windows("gpus", 3)?`, one region for each window |
//! | `np.array_split`, by size | `a.chunks("gpus", 3)?` |
//! | `np.unravel_index(r, a.shape)` | `a.extent().unravel(r)?` |
//! | `np.ravel_multi_index(c, a.shape)` | `a.extent().ravel(&c)?` |
//! | `np.ndenumerate(a)` | `a.for_each_point(\|point, rank\| …)`; `a.iter()` for ranks alone |
//! | `np.isin(a, b).all()`, `np.intersect1d(a, b)` | `a.is_subset(&b)`, `a.intersection(&b)?`; not element by element |
//! | `a.strides`, in bytes | `a.strides()`, in ranks; 0 for a dim of one position |
//! | an index drops the dim, a slice of one keeps it | the same |
//! | bounds outside are clamped, an index outside is an error | the same |
//! | `IndexError`, `ValueError` | [`ShapeError`](crate::ShapeError), which names the dim |
//!
//! What is not here: fancy indexing and masks (a [`RankSet`](crate::RankSet) is a mask), broadcasting,
//! `np.newaxis`. A region shows no rank twice; that is why windows are many regions and not one.
//!
//! ```
//! use mesh_shape::{Rank, Region, extent, slice};
//!
//! let a = Region::all(extent!(hosts = 3, gpus = 4)?);
//! let view = a.take(&slice!(..;2, 3..0;-2))?;
//! assert_eq!(view.iter().map(Rank::index).collect::<Vec<_>>(), [3, 1, 11, 9]);
//! assert_eq!((view.offset(), view.strides()), (3, &[8, -2][..]));
//! # Ok::<(), mesh_shape::ShapeError>(())
//! ```
//!
//! # xarray
//!
//! | xarray, `a` with dims `("hosts", "gpus")` | here |
//! |---|---|
//! | `a.isel(hosts=0, gpus=slice(0, 8, 2))` | `a.take(&slice!(hosts = 0, gpus = 0..8;2))?` |
//! | `a.sizes["gpus"]` | `a.extent().size_of("gpus")` |
//! | `a.transpose("gpus", "hosts")` | `a.permute(&["gpus", "hosts"])?` |
//! | `a.stack(procs=("hosts", "gpus"))` | `a.flatten(&["hosts", "gpus"], "procs")?` |
//! | `a.groupby("hosts")` | `a.group_by(&["hosts"])?` |
//! | `xr.apply_ufunc(f, x, y)` | `x.zip(&y, f)?` of two [`ValueMesh`](crate::ValueMesh) |
//!
//! The names of dims are part of a region, and there are no labels along a dim: a position is a number.
//!
//! ```
//! use mesh_shape::{Region, ValueMesh, extent, slice};
//!
//! let a = Region::all(extent!(hosts = 2, gpus = 4)?);
//! let loads = ValueMesh::from_fn(8, |rank| rank.index() * 10);
//! let first = loads.slice(&a.take(&slice!(hosts = 0, gpus = ..;2))?)?;
//! assert_eq!(first.iter().copied().collect::<Vec<_>>(), [0, 20]);
//! # Ok::<(), mesh_shape::ShapeError>(())
//! ```
//!
//! # `DeviceMesh`
//!
//! | PyTorch | here |
//! |---|---|
//! | `init_device_mesh("cuda", (2, 4), mesh_dim_names=("dp", "tp"))` | `Region::all(extent!(dp = 2, tp = 4)?)` |
//! | `mesh["tp"]` on one rank: the ranks that share its other coordinates | the part of `group_by(&["dp"])?` that contains it |
//! | `mesh.get_coordinate()` | `mesh.extent().unravel(rank)?.coordinates()` |
//! | `mesh.get_local_rank("tp")` | `….coordinate("tp")` |
//! | `mesh["dp", "tp"]._flatten("world")` | `mesh.flatten(&["dp", "tp"], "world")?` |
//!
//! ```
//! use mesh_shape::{Rank, Region, extent};
//!
//! let mesh = Region::all(extent!(dp = 2, tp = 4)?);
//! let me = Rank::new(6);
//! let mut groups = mesh.group_by(&["dp"])?;
//! let mine = groups.find(|group| group.contains(me)).expect("every rank is in one");
//! assert_eq!(mine.ranks().to_string(), "4..8");
//! assert_eq!(mesh.extent().unravel(me)?.coordinate("tp"), Some(2));
//! # Ok::<(), mesh_shape::ShapeError>(())
//! ```
